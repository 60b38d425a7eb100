"""The journal of real loaders: what each batch's record says, and who may read it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from leftovers import eventually
from process_scripts import Script
from process_sources import Batches

from fastfeed import Loader
from fastfeed._core import CRASHED, DATA, EXCEPTION
from fastfeed.monitor.journal import MonitorError, views_of
from fastfeed.monitor.summary import summarise

KINDS = {
    "processes": {"workers": 2},
    "threads": {"workers": 2, "use_multiprocessing": False},
    "calling thread": {"workers": 0},
}
each_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def sleep_at_3(index: int) -> None:
    time.sleep(0.3 if index == 3 else 0)


def fail_at_3(index: int) -> None:
    if index == 3:
        raise ValueError("three")


def die_at_3(index: int) -> None:
    if index == 3:
        os._exit(7)


@each_kind
def test_each_batch_has_a_record_of_what_became_of_it(kind: dict[str, Any]) -> None:
    before = time.monotonic_ns()
    with Loader(Batches(20), shuffle=True, seed=4, **kind) as loader:
        indices = [int(x[0, 0]) for _ in range(2) for x, _ in loader]
        records = loader._view().records()
    after = time.monotonic_ns()
    assert records["index"].tolist() == indices
    assert records["epoch"].tolist() == [0] * 20 + [1] * 20
    assert records["sequence"].tolist() == list(range(40))
    assert set(records["kind"]) == {DATA}
    assert set(records["bytes"]) == {8 * 2 * 8 + 8 * 8}
    times = ["posted_ns", "started_ns", "made_ns", "answered_ns"]
    moments = np.stack([records[name] for name in times])
    assert (np.diff(moments, axis=0) >= 0).all() or not kind["workers"]
    assert (records["made_ns"] >= records["started_ns"]).all()
    assert (records["answered_ns"] >= records["asked_ns"]).all()
    assert before < moments.min() <= moments.max() < after
    assert not records["uploaded_ns"].any()


@pytest.mark.parametrize("kind", [{"workers": 2}, {"workers": 2, "use_multiprocessing": False}])
def test_no_batch_is_answered_before_it_was_made(kind: dict[str, Any]) -> None:
    with Loader(Batches(1000), **kind) as loader:
        for _ in loader:
            pass  # at full speed many become ready just as they are asked for
        records = loader._view().records()
    assert len(records) == 1000
    assert (records["answered_ns"] >= records["made_ns"]).all()


@each_kind
def test_totals_and_workers_tell_the_same_as_the_records(kind: dict[str, Any]) -> None:
    with Loader(Batches(30), **kind) as loader:
        for _ in loader:
            time.sleep(0.001)
        view = loader._view()
        records, totals, workers = view.records(), view.totals(), view.workers()
        stats = loader.stats()
    waits = records["answered_ns"] - records["asked_ns"]
    assert totals.batches == stats.batches == len(records) == 30
    assert totals.bytes == stats.bytes == records["bytes"].sum()
    assert totals.wait_ns == waits.sum()
    assert totals.wait_ns == round(stats.wait_seconds * 1e9)
    assert totals.order_wait_ns == records["order_wait_ns"].sum()
    assert totals.upload_wait_ns == 0
    assert totals.first_batch_ns == records["answered_ns"].min() - totals.started_ns
    assert totals.steps == 30
    assert totals.step_ns >= 30 * 1_000_000
    assert sum(worker.batches for worker in workers) >= 30  # the next epoch has begun
    for worker in workers:
        own = records[records["worker"] == worker.worker]
        assert worker.busy_ns >= (own["made_ns"] - own["started_ns"]).sum()
        assert worker.pid or not len(own)


def test_who_waits_for_a_slow_batch_while_others_are_ready_waits_for_the_order(
    tmp_path: Path,
) -> None:
    begun = tmp_path / "5 is begun"

    def outlast_4(index: int) -> None:
        if index == 5:
            begun.touch()
        if index == 3:
            assert eventually(begun.exists)
            time.sleep(0.3)

    with Loader(Batches(10, outlast_4), workers=2) as loader:
        batches = iter(loader)
        for _ in range(3):
            next(batches)
        assert eventually(begun.exists)  # so the other worker has made 4
        assert len(list(batches)) == 7
        slow = loader._view().records()[3]
        stats = loader.stats()
    assert slow["order_wait_ns"] == slow["made_ns"] - slow["asked_ns"]
    assert stats.order_wait_seconds >= slow["order_wait_ns"] / 1e9
    assert stats.production_wait_seconds + stats.order_wait_seconds == pytest.approx(
        stats.wait_seconds
    )


def test_who_waits_for_the_only_worker_waits_for_production() -> None:
    with Loader(Batches(6, sleep_at_3), workers=1, max_queue_size=1) as loader:
        for _ in loader:
            pass
        slow = loader._view().records()[3]
    assert slow["answered_ns"] > slow["asked_ns"]
    assert slow["order_wait_ns"] == 0


def test_errors_and_crashes_have_records_in_their_place() -> None:
    for before, expected in ((fail_at_3, EXCEPTION), (die_at_3, CRASHED)):
        with Loader(Batches(6, before), workers=2) as loader:
            seen = []
            batches = iter(loader)
            while len(seen) < 6:
                try:
                    seen.append(int(next(batches)[0][0, 0]))
                except Exception:
                    seen.append(-1)
            records = loader._view().records()
            assert loader.stats().batches == 5
        assert seen == [0, 1, 2, -1, 4, 5]
        assert records["kind"].tolist() == [DATA] * 3 + [expected] + [DATA] * 2
        assert records["index"].tolist() == list(range(6))
        assert summarise(records).batches == 5


def test_the_last_16384_batches_are_kept() -> None:
    with Loader(np.zeros((17_000, 1)), batch_size=1, workers=0) as loader:
        for _ in loader:
            pass
        view = loader._view()
        assert len(view.records()) == 16_384
        assert view.records()["sequence"].tolist() == list(range(17_000 - 16_384, 17_000))
        assert view.records(since=16_990)["index"].tolist() == list(range(16_990, 17_000))
        assert view.records(since=17_000).size == 0


def test_a_worker_that_is_busy_can_be_seen(tmp_path: Path) -> None:
    def wait_at_3(index: int) -> None:
        assert index != 3 or eventually((tmp_path / "seen").exists)

    with Loader(Batches(10, wait_at_3), workers=1) as loader:
        batches = iter(loader)
        for _ in range(3):
            next(batches)
        (worker,) = loader._view().workers()
        while worker.index != 3 or not worker.making_since_ns:
            (worker,) = loader._view().workers()
        assert worker.making_since_ns <= time.monotonic_ns()
        assert worker.pid != os.getpid()
        (tmp_path / "seen").touch()
        next(batches)
    assert loader._view().totals().batches == 4  # a view outlives its loader


def test_a_view_of_another_process(tmp_path: Path) -> None:
    script = Script(
        tmp_path,
        """
        import sys, time
        from process_sources import Batches
        from fastfeed import Loader
        if __name__ == "__main__":
            with Loader(Batches(5), workers=1) as one, Loader(Batches(7), workers=0) as two:
                print(len([0 for _ in one]), len([0 for _ in two]), flush=True)
                while not __import__("os").path.exists("go"):
                    time.sleep(0.01)
        """,
    )
    script.wait_for("5 7")
    pid = script.process.pid
    first, second = views_of(pid)
    assert (first.name, first.totals().batches) == ("Batches", 5)
    assert second.totals().batches == 7
    assert first.pid == pid
    assert second.records()["index"].tolist() == list(range(7))
    (worker,) = second.workers()
    assert worker.pid == pid
    (tmp_path / "go").touch()
    assert script.finish() == 0
    assert first.totals().batches == 5
    with pytest.raises(MonitorError, match=f"no process {pid}"):
        views_of(pid)


def test_processes_without_a_loader() -> None:
    with pytest.raises(MonitorError, match="has no fastfeed loader"):
        views_of(os.getpid())
    with pytest.raises(MonitorError, match="no process 99999999"):
        views_of(99_999_999)
