"""Batches of samples that several workers make in parts: the same bytes, in order, and after a
death only the dead worker's rows are made again.
"""

from __future__ import annotations

import collections
import itertools
import os
import signal
import threading
import time
from typing import Any

import numpy as np
import pytest
from process_killer import kill_some
from process_support import outcomes
from rows_sources import KillsAt, Register, Samples, named, odd_one, turned

from fastfeed import ArraySpec, Loader
from fastfeed.errors import ArgumentError, SourceError, WorkerCrashed
from fastfeed.sources.rows import RowReader

pytestmark = pytest.mark.filterwarnings("ignore:All but", "ignore:A batch of")


def copied(batch: Any) -> list[Any]:
    """A batch as lists and arrays that need no slot."""
    parts = batch.items() if isinstance(batch, dict) else enumerate(batch)
    return [(key, np.array(part)) for key, part in parts]


def epochs(loader: Loader, number: int = 2) -> list[list[Any]]:
    return [copied(batch) for _ in range(number) for batch in loader]


def undivided(source: Any, **options: Any) -> list[list[Any]]:
    with Loader(source, workers=1, rows=False, **options) as loader:
        return epochs(loader)


def assert_same(found: list[list[Any]], expected: list[list[Any]]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert [key for key, _ in one] == [key for key, _ in other]
        for (_, part), (_, wanted) in zip(one, other, strict=True):
            assert part.dtype == wanted.dtype
            np.testing.assert_array_equal(part, wanted)


@pytest.mark.parametrize("workers", [2, 3])
@pytest.mark.parametrize("shuffle", [False, True])
def test_a_division_changes_no_byte(workers, shuffle):
    options = {"batch_size": 16, "shuffle": shuffle, "seed": 3}
    source = Samples(16 * 6 + 1)  # the last batch has one sample: it cannot be divided
    with Loader(source, workers=workers, rows=True, **options) as loader:
        assert_same(epochs(loader), undivided(source, **options))
        assert loader.stats().batches == 14


def test_unordered_batches_are_the_same_ones():
    def by_content(batch: list[Any]) -> Any:
        return batch[1][1].tolist()

    source = Samples(160)
    with Loader(source, batch_size=8, workers=3, rows=True, ordered=False) as loader:
        found = epochs(loader)
    expected = undivided(source, batch_size=8)
    assert_same(sorted(found, key=by_content), sorted(expected, key=by_content))


@pytest.mark.parametrize("look", [named, turned])
def test_objects_and_names_in_any_order(look):
    source = Samples(40, look=look)
    with Loader(source, batch_size=8, workers=3, rows=True) as loader:
        found = epochs(loader)
    assert_same(found, undivided(source, batch_size=8))


def test_threads_and_arrays_divide_too():
    arrays = (np.arange(60).reshape(20, 3), np.arange(20))
    with Loader(arrays, batch_size=7, workers=3, rows=True, shuffle=True) as loader:
        assert_same(epochs(loader), undivided(arrays, batch_size=7, shuffle=True))
    source = Samples(20, look=turned)
    with Loader(source, batch_size=8, workers=2, rows=True, use_multiprocessing=False) as loader:
        assert_same(epochs(loader), undivided(source, batch_size=8))


def test_the_first_batch_is_made_by_all_workers(tmp_path):
    register = Register(tmp_path / "calls")

    def waits_for_the_other(number: int) -> None:
        """Nobody gets on with the first batch alone."""
        register(number)
        while number < 8 and len({pid for _, pid in register.calls()}) < 2:
            time.sleep(0.002)

    source = Samples(64, waits_for_the_other)
    with Loader(source, batch_size=8, workers=2, max_queue_size=1) as loader:  # rows="auto"
        assert next(iter(loader))[0][:, 0].tolist() == list(range(8))
    makers = {number: pid for number, pid in register.calls()}
    assert len({makers[number] for number in range(8)}) == 2


def test_a_slow_sample_holds_up_its_part_only(tmp_path):
    """While one worker is at its first sample, the other makes the rest of the batch."""
    register = Register(tmp_path / "calls")

    def first_waits_for_the_second_half(number: int) -> None:
        register(number)
        while number == 0 and not {4, 5, 6, 7} <= {sample for sample, _ in register.calls()}:
            time.sleep(0.002)

    source = Samples(8, first_waits_for_the_second_half)
    with Loader(source, batch_size=8, workers=2, rows=True) as loader:
        assert next(iter(loader))[0][:, 0].tolist() == list(range(8))


def test_after_a_death_only_the_rows_of_the_dead_are_made_again(tmp_path):
    kills = KillsAt(tmp_path / "calls", 21)
    source = Samples(320, kills)
    with Loader(source, batch_size=16, workers=2, rows=True) as loader:
        found = [copied(batch) for batch in itertools.islice(loader, 4)]
    assert_same(found, undivided(Samples(320), batch_size=16)[:4])
    count = collections.Counter(number for number, _ in kills.calls())
    again = [number for number in range(320) if count[number] > 1]
    assert set(count.values()) == {1, 2}
    assert again == [20, 21]  # batch 1 had eight parts


def test_a_part_that_always_kills_is_reported_once():
    source = Samples(64, lambda number: number == 37 and os.kill(os.getpid(), signal.SIGKILL))
    with Loader(source, batch_size=16, workers=2, rows=True) as loader:
        found = outcomes(loader)
        assert len(found) == 4
        crash = found.pop(2)
        assert isinstance(crash, WorkerCrashed)
        assert (crash.index, crash.epoch) == (2, 0)
        assert [int(batch[0][0, 0]) for batch in found] == [0, 16, 48]


@pytest.mark.parametrize("processes", [True, False])
@pytest.mark.parametrize("batch", [0, 2])
def test_the_first_exception_of_a_batch_is_raised_in_its_place(processes, batch):
    def fails(number: int) -> None:
        if number in (16 * batch + 5, 16 * batch + 12):
            raise ValueError(f"sample {number}")

    options = {"workers": 2, "use_multiprocessing": processes}
    with Loader(Samples(64, fails), batch_size=16, rows=True, **options) as loader:
        found = outcomes(loader)
        error = found.pop(batch)
        assert isinstance(error, ValueError)
        assert str(error) == f"sample {16 * batch + 5}"
        assert [int(each[0][0, 0]) // 16 for each in found] == [
            number for number in range(4) if number != batch
        ]
        assert loader.stats().batches == 3


@pytest.mark.parametrize("sized", [False, True])
def test_parts_of_different_shapes_are_refused(sized):
    """Unsized, the two parts are of one batch of the loader's first; else of a later one."""
    start = 0 if sized else 8
    source = Samples(32, look=lambda number: odd_one(number + start))
    with Loader(source, batch_size=8, workers=2, rows=True) as loader:
        found = outcomes(loader)
    error = found[1 if sized else 0]
    assert isinstance(error, SourceError)
    assert "rows 0 to 3" in str(error) and "rows 4 to 7" in str(error)
    assert "rows=False" in str(error)


@pytest.mark.parametrize("ordered", [True, False])
def test_loops_that_are_left_in_the_middle(ordered):
    source = Samples(400)
    expected = undivided(source, batch_size=8)[50:]
    with Loader(source, batch_size=8, workers=3, rows=True, ordered=ordered) as loader:
        for _ in itertools.islice(loader, 3):
            pass
        found = epochs(loader, 1)
    if not ordered:
        found.sort(key=lambda batch: int(batch[0][1][0, 0]))
    assert_same(found, expected)


def test_it_is_closed_while_parts_are_in_the_making():
    source = Samples(400, lambda number: time.sleep(0.005))
    loader = Loader(source, batch_size=8, workers=3, rows=True, max_queue_size=4)
    next(iter(loader))
    loader.close()


@pytest.mark.parametrize("ordered", [True, False])
def test_under_fire_nothing_is_lost_or_doubled(ordered):
    source = Samples(160, lambda number: time.sleep(0.0002))
    expected = undivided(source, batch_size=8)[20:]
    progress, done = threading.Event(), threading.Event()
    killer = threading.Thread(target=kill_some, args=(progress, done))
    with Loader(source, batch_size=8, workers=3, rows=True, ordered=ordered) as loader:
        for _ in loader:
            pass
        killer.start()
        try:
            for epoch in itertools.count(1):
                found = [copied(batch) for batch in loader]
                found.sort(key=lambda batch: int(batch[0][1][0, 0]))
                assert len(found) == 20
                if epoch == 1:
                    assert_same(found, expected)
                progress.set()
                if loader.stats().worker_restarts >= 6:
                    break
        finally:
            done.set()
            progress.set()
            killer.join()


def test_a_batch_is_one_record_and_its_work_is_that_of_all_parts():
    source = Samples(64, lambda number: time.sleep(0.001))
    with Loader(source, batch_size=16, workers=2, rows=True) as loader:
        for _ in loader:
            pass
        records = loader._view().records()
    assert len(records) == 4
    assert records["index"].tolist() == [0, 1, 2, 3]
    assert (records["work_ns"] >= 16e6).all()
    assert (records["made_ns"] - records["started_ns"] < records["work_ns"]).all()


def test_what_cannot_be_divided_is_not():
    class Leaves(RowReader):
        spec = ArraySpec((), np.int64)
        leaves_out = True
        n_samples = 10

        def read(self, rows):
            rows.out[:] = rows.index

        def fingerprint(self):
            return ""

    batches = [np.zeros(3)] * 4
    for source, size in ((batches, None), (Leaves(), 4), (lambda: iter(batches), None)):
        with pytest.raises(ArgumentError, match=r"Received: rows=True"):
            Loader(source, batch_size=size, workers=2, rows=True)
    with pytest.raises(ArgumentError, match=r"Received: rows='yes'"):
        Loader(batches, workers=2, rows="yes")
    with Loader(Leaves(), batch_size=4, workers=2, use_multiprocessing=False) as loader:
        assert [batch.tolist() for batch in loader] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
