"""What ``fastfeed top`` computes from looks at a loader."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastfeed._core import EXCEPTION
from fastfeed.monitor.journal import RECORD, Records, Totals, WorkerNow
from fastfeed.top import model, processes
from fastfeed.top.look import History, Look
from fastfeed.top.processes import Memory

MS, SECOND = 1_000_000, 1_000_000_000
NOW = 500 * SECOND
JOB = 100
MIB = 1 << 20


def totals(**changes: int) -> Totals:
    """A loader that was made 100 s ago and waits for nothing."""
    values = dict.fromkeys((field.name for field in dataclasses.fields(Totals)), 0)
    made = {"started_ns": NOW - 100 * SECOND, "ahead": 10, "batches": 10_000}
    return Totals(**values | made | changes)


def worker(number: int = 0, pid: int = 200, **changes: int) -> WorkerNow:
    """A worker that has nothing to do."""
    values = dict.fromkeys((field.name for field in dataclasses.fields(WorkerNow)), 0)
    return WorkerNow(**values | {"worker": number, "pid": pid} | changes)


def look(
    *workers: WorkerNow,
    now_ns: int = NOW,
    private: int = 50 * MIB,
    inline: bool = False,
    **changes: int,
) -> Look:
    """A look, with the memory of each worker's process."""
    memory = {each.pid: Memory(900 * MIB, private) for each in workers if each.pid}
    return Look(now_ns, JOB, "Photos", True, inline, totals(**changes), list(workers), memory)


def history(*looks: Look) -> History:
    found = History()
    for each in looks:
        found.add(each)
    return found


def handed_out(
    step_ms: float, wait_ms: float, count: int, until: int = NOW, **parts: Any
) -> Records:
    """Batches of 1 MB, the last one handed out at `until`; a worker takes 30 ms for each."""
    records = np.zeros(count, RECORD)
    records["sequence"] = np.arange(count)
    back = np.arange(count - 1, -1, -1) * round((step_ms + wait_ms) * MS)
    records["answered_ns"] = until - back
    records["asked_ns"] = records["answered_ns"] - round(wait_ms * MS)
    records["made_ns"] = records["answered_ns"]
    records["started_ns"] = records["made_ns"] - 30 * MS
    records["work_ns"] = 30 * MS
    records["bytes"] = 1_000_000
    for name, value in parts.items():
        records[name] = value
    return records


NOTHING = handed_out(1, 1, 0)


# -- rates and shares --------------------------------------------------------------------------


def test_rates_and_times_are_of_the_last_ten_seconds() -> None:
    records = np.concatenate(
        [handed_out(1, 0, 500, until=NOW - 11 * SECOND), handed_out(15, 5, 1000)]
    )
    found = model.loader(history(look(worker())), records)
    assert found.window_seconds == 10
    assert found.batches_per_second == pytest.approx(50)
    assert found.bytes_per_second == pytest.approx(50e6)
    assert found.step_seconds == pytest.approx(0.015)
    assert found.make_seconds == pytest.approx(0.030)
    assert found.waiting_ratio == pytest.approx(0.25)
    assert (found.batches, found.ahead, found.name) == (10_000, 10, "Photos")


def test_waiting_is_split_into_its_causes() -> None:
    records = handed_out(5, 5, 1000, order_wait_ns=2 * MS, upload_wait_ns=1 * MS)
    found = model.loader(history(look(worker())), records)
    parts = (found.production_ratio, found.order_ratio, found.upload_ratio)
    assert parts == pytest.approx((0.2, 0.2, 0.1))
    assert found.waiting_seconds is None


def test_a_loop_that_is_stuck_waits_for_all_of_the_time() -> None:
    stuck = look(worker(), waiting_since_ns=NOW - 60 * SECOND)
    found = model.loader(history(stuck), handed_out(5, 5, 100, until=NOW - 60 * SECOND))
    assert found.waiting_seconds == 60
    assert (found.waiting_ratio, found.production_ratio) == (1, 1)
    assert found.batches_per_second == 0
    assert found.step_seconds is None


def test_a_wait_that_lasts_is_for_order_where_others_are_ready() -> None:
    stuck = look(worker(), waiting_since_ns=NOW - 4 * SECOND, ready=3)
    found = model.loader(history(stuck), NOTHING)
    assert (found.waiting_ratio, found.order_ratio) == pytest.approx((0.4, 0.4))


def test_a_wait_that_began_before_counts_in_part_and_so_do_its_causes() -> None:
    records = handed_out(0, 20_000, 1, until=NOW - 5 * SECOND, order_wait_ns=10 * SECOND)
    found = model.loader(history(look(worker(), batches=1)), records)
    assert found.waiting_ratio == pytest.approx(0.5)
    assert (found.production_ratio, found.order_ratio) == pytest.approx((0.25, 0.25))


def test_a_loop_that_does_something_else_does_not_wait() -> None:
    found = model.loader(history(look(worker())), NOTHING)
    assert (found.waiting_ratio, found.batches_per_second) == (0, 0)


def test_a_young_loader_is_judged_by_its_own_time() -> None:
    young = look(worker(), started_ns=NOW - 2 * SECOND, first_batch_ns=SECOND, batches=100)
    found = model.loader(history(young), handed_out(10, 0, 100))
    assert (found.running_seconds, found.window_seconds) == (2, 2)
    assert found.batches_per_second == pytest.approx(50)
    assert found.first_batch_seconds == 1


def test_a_journal_that_does_not_reach_back_gives_the_rate_of_what_it_has() -> None:
    found = model.loader(history(look(worker())), handed_out(0.1, 0, 1001))
    assert found.window_seconds == pytest.approx(0.1)
    assert found.batches_per_second == pytest.approx(10_000)


def test_errors_are_no_batches() -> None:
    found = model.loader(history(look(worker())), handed_out(10, 0, 100, kind=EXCEPTION))
    assert found.batches_per_second == 0


@given(
    st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 3000)), max_size=30),
    st.integers(0, 4000),
)
def test_shares_add_up_and_are_never_more_than_all(
    times_ms: list[tuple[int, int]], waits_ms: int
) -> None:
    records = np.zeros(len(times_ms), RECORD)
    until = NOW - waits_ms * MS
    for record, (wait, step) in zip(records[::-1], times_ms, strict=True):
        record["answered_ns"] = until
        record["asked_ns"] = until - wait * MS
        record["order_wait_ns"] = wait * MS // 3
        record["upload_wait_ns"] = wait * MS // 5
        until -= (wait + step) * MS
    waiting = NOW - waits_ms * MS if waits_ms else 0
    now = look(worker(), waiting_since_ns=waiting, batches=len(records))
    found = model.loader(history(now), records)
    parts = (found.production_ratio, found.order_ratio, found.upload_ratio)
    assert sum(parts) == pytest.approx(found.waiting_ratio)
    assert min(parts) >= 0 and found.waiting_ratio <= 1 + 1e-9


# -- the verdict -------------------------------------------------------------------------------


def test_the_verdict_is_of_the_last_seconds() -> None:
    fed = model.loader(history(look(worker())), handed_out(20, 0, 600))
    assert fed.verdict.startswith("not input-bound")
    starved = model.loader(history(look(worker())), handed_out(10, 20, 600))
    assert starved.verdict.startswith("input-bound 67 %: workers 67 %")


def test_rare_batches_are_judged_together() -> None:
    found = model.loader(history(look(worker())), handed_out(2000, 2000, 40))
    assert found.verdict.startswith("input-bound 51 %")  # 20 waits, 19 steps


def test_the_first_batch_is_not_held_against_the_loader() -> None:
    records = handed_out(20, 0, 101)
    records["asked_ns"][0] -= 2 * SECOND
    young = look(worker(), started_ns=NOW - 5 * SECOND, batches=101)
    assert model.loader(history(young), records).verdict.startswith("not input-bound")


def test_passes_of_one_batch_have_a_verdict() -> None:
    records = handed_out(20, 5, 100, epoch=np.arange(100))
    assert model.loader(history(look(worker())), records).verdict.startswith("nothing to say yet")


def test_a_loop_that_makes_its_batches_itself_is_named() -> None:
    inline = look(worker(pid=JOB), inline=True, ahead=1)
    found = model.loader(history(inline), handed_out(20, 30, 600))
    assert "the calling thread makes them" in found.verdict
    threads = look(worker(pid=JOB), ahead=10)
    assert "thread" not in model.loader(history(threads), handed_out(20, 30, 600)).verdict


# -- workers -----------------------------------------------------------------------------------


def only(found: model.Loader) -> model.Worker:
    (worker,) = found.workers
    return worker


def test_what_a_worker_makes_and_for_how_long() -> None:
    making = worker(making_since_ns=NOW - 83 * MS, index=7, epoch=2)
    found = only(model.loader(history(look(making)), NOTHING))
    assert (found.state, found.index, found.epoch) == ("making", 7, 2)
    assert found.making_seconds == pytest.approx(0.083)
    assert (found.rss_bytes, found.private_bytes) == (900 * MIB, 50 * MIB)
    assert found.busy_ratio is None and found.batches_per_second is None


@pytest.mark.parametrize(
    ("now", "memory", "state"),
    [
        (worker(), True, "idle"),
        (worker(pid=0), True, "absent"),
        (worker(making_since_ns=NOW - MS), False, "gone"),
    ],
)
def test_what_a_worker_does(now: WorkerNow, memory: bool, state: str) -> None:
    seen = look(now)
    seen = seen if memory else dataclasses.replace(seen, memory={})
    found = only(model.loader(history(seen), NOTHING))
    assert (found.state, found.index, found.making_seconds) == (state, None, None)


def test_how_busy_a_worker_is_counts_what_it_is_making() -> None:
    earlier = look(
        worker(busy_ns=50 * SECOND, batches=100, making_since_ns=NOW - 3 * SECOND),
        now_ns=NOW - 2 * SECOND,
    )
    later = look(worker(busy_ns=52 * SECOND, batches=110, making_since_ns=NOW - SECOND // 2))
    found = only(model.loader(history(earlier, later), NOTHING))
    assert found.busy_ratio == pytest.approx(0.75)  # of 2 s: 1 s of the old one, 0.5 of the new
    assert found.batches_per_second == pytest.approx(5)


def test_one_item_for_all_of_the_time_is_busy() -> None:
    looks = [
        look(worker(making_since_ns=NOW - 60 * SECOND), now_ns=NOW - age * SECOND)
        for age in (2, 1, 0)
    ]
    assert only(model.loader(history(*looks), NOTHING)).busy_ratio == 1


def test_a_worker_that_was_replaced_begins_anew() -> None:
    earlier = look(worker(busy_ns=50 * SECOND, batches=100), now_ns=NOW - 2 * SECOND)
    between = look(worker(pid=0), now_ns=NOW - SECOND)
    later = look(worker(pid=201, batches=3))
    found = model.loader(history(earlier, between, later), NOTHING)
    assert found.replaced == 1
    assert only(found).busy_ratio is None


def test_threads_are_the_jobs_own_process() -> None:
    thread = only(model.loader(history(look(worker(pid=JOB))), NOTHING))
    assert (thread.state, thread.private_bytes, thread.rss_bytes) == ("idle", None, None)


def test_a_worker_that_grows_is_marked() -> None:
    looks = [
        look(worker(), now_ns=NOW - (20 - age) * SECOND, private=(100 + 10 * age) * MIB)
        for age in range(21)
    ]
    found = only(model.loader(history(*looks), NOTHING))
    assert found.grows_bytes_per_second == pytest.approx(10 * MIB)


def test_old_looks_are_forgotten() -> None:
    looks = [look(worker(), now_ns=NOW + age * SECOND) for age in range(100)]
    assert len(history(*looks)._looks) == 11


# -- /proc -------------------------------------------------------------------------------------


def test_this_process_is_known() -> None:
    memory = processes.memory(os.getpid())
    assert memory is not None and 0 < memory.private <= memory.rss
    assert "pytest" in processes.command(os.getpid())
    assert processes.started(os.getpid()) is not None


def test_a_process_that_has_ended_is_known_to_have() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # a zombie
    for _ in range(2):
        assert processes.memory(process.pid) is None
        assert processes.started(process.pid) is None
        assert processes.command(process.pid) == ""
        process.wait()


def test_text_of_other_processes_cannot_move_the_cursor() -> None:
    assert processes.printable("a\x1b[2Jb\nc é 写真") == "a?[2Jb?c é 写真"
