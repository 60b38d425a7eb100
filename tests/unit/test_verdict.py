"""The verdict on loops whose trouble is known, because they are simulated."""

from __future__ import annotations

import numpy as np
import pytest
from unit_records import MS, simulated

from fastfeed.monitor.sizing import predicted_stall
from fastfeed.monitor.summary import summarise
from fastfeed.monitor.verdict import FEWEST_BATCHES, percent, startup_wait, verdict

SLOW_NOW_AND_THEN = ([5.0] * 49 + [200.0]) * 8


def judged(make_ms, step_ms, workers, ahead, upload_ms=0.0, **options):
    records = simulated(make_ms, step_ms, workers, ahead, upload_ms=upload_ms)
    return verdict(summarise(records), workers, ahead, **options)


def test_workers_that_are_too_few():
    found = judged([38.0] * 300, 10.0, workers=2, ahead=10)
    assert (found.kind, found.workers_needed) == ("workers", 5)  # 4 of them busy, in the mean
    assert found.wait_ratio == pytest.approx(9 / 19, abs=0.01)
    assert found.production_ratio == pytest.approx(9 / 19, abs=0.01)
    assert found.busy_ratio == pytest.approx(1.0, abs=0.02)
    assert str(found) == "input-bound 48 %: workers 48 %; 5 workers would do"


def test_what_it_says_would_do_does():
    found = judged([40.0] * 300, 10.0, workers=2, ahead=10)
    assert judged([40.0] * 300, 10.0, found.workers_needed, found.ahead_needed).kind == "fed"
    found = judged(SLOW_NOW_AND_THEN, 10.0, workers=2, ahead=4)
    assert judged(SLOW_NOW_AND_THEN, 10.0, 2, found.ahead_needed).kind == "fed"


def test_a_queue_that_is_too_short_for_single_slow_batches():
    found = judged(SLOW_NOW_AND_THEN, 10.0, workers=2, ahead=4)
    assert (found.kind, found.workers_needed) == ("tail", 2)
    assert found.order_ratio > found.production_ratio
    assert found.busy_ratio < 0.7
    assert str(found).endswith(
        f"the queue is too short: max_queue_size={found.ahead_needed} would do, or ordered=False"
    )
    made = np.array(SLOW_NOW_AND_THEN) / 1000
    assert predicted_stall(made, 0.010, 2, found.ahead_needed) < 0.01


def test_a_queue_that_leaves_workers_without_a_ticket():
    found = judged([40.0] * 300, 10.0, workers=8, ahead=1)
    assert (found.kind, found.ahead_needed) == ("tail", 10)
    assert "max_queue_size=10 would do" in found.text


def test_a_loop_that_does_not_wait():
    found = judged([15.0] * 300, 10.0, workers=4, ahead=10)
    assert (found.kind, found.workers_needed, found.ahead_needed) == ("fed", 2, 10)
    assert str(found).startswith("not input-bound: ")
    assert str(found).endswith(" of the time is waiting; 2 of the 4 workers would do")


@pytest.mark.parametrize(
    ("wait", "grade"),
    [
        *[(0.02, "not input-bound"), (0.06, "moderately input-bound")],
        *[(0.19, "moderately input-bound"), (0.21, "input-bound")],
    ],
)
def test_the_grades_are_those_of_tensorflows_profiler(wait, grade):
    found = judged([10.0 / (1 - wait)] * 2000, 10.0, workers=1, ahead=10)
    assert found.wait_ratio == pytest.approx(wait, abs=0.01)
    assert str(found).startswith(f"{grade}{':' if wait < 0.03 else f' {percent(wait)}'}")


def test_a_device_that_is_too_far_away():
    found = judged([5.0] * 300, 10.0, workers=2, ahead=10, upload_ms=20.0)
    assert (found.kind, found.workers_needed, found.ahead_needed) == ("upload", 2, 10)
    assert "upload 50 %" in str(found) and "send uint8" in str(found)


def test_a_generator_that_runs_in_next_is_named():
    """Its 20 ms pass between the question and the answer, while batches are ready."""
    records = simulated([4.0] * 100, 10.0, workers=2, ahead=10)
    before = np.arange(100) * 20 * MS
    for column in ("posted_ns", "started_ns", "made_ns", "asked_ns"):
        records[column] += before
    records["answered_ns"] += before + 20 * MS
    found = verdict(summarise(records), 2, 10)
    assert (found.kind, found.workers_needed, found.ahead_needed) == ("generator", 2, 10)
    assert "generator 66 %" in str(found) and str(found).endswith("and do its work in map")
    slow = simulated([38.0] * 300, 10.0, workers=2, ahead=10)
    assert summarise(slow).generator_ratio == 0.0


def test_making_that_is_mostly_copying():
    found = judged([40.0] * 300, 10.0, workers=2, ahead=10, copy_seconds=0.030)
    assert found.kind == "copy" and "fill()" in str(found)
    assert judged([40.0] * 300, 10.0, 2, 10, copy_seconds=0.010).kind == "workers"


def test_the_calling_thread_as_the_only_worker():
    found = verdict(summarise(simulated([38.0] * 300, 10.0, 1, 1)), workers=0, ahead=0)
    assert (found.kind, found.workers_needed) == ("workers", 5)
    assert str(found).endswith("the calling thread makes them, 5 workers would do")


def test_a_stream_has_one_maker():
    found = judged([38.0] * 300, 10.0, workers=1, ahead=10, undivided=True)
    assert (found.kind, found.workers_needed, found.ahead_needed) == ("workers", 1, 10)
    assert "a stream has one maker: divide the generator function" in str(found)
    records = summarise(simulated([38.0] * 300, 10.0, 1, 1))
    found = verdict(records, workers=0, ahead=0, undivided=True)
    assert str(found).endswith("the calling thread makes them, 1 worker would do")
    assert judged([5.0] * 300, 10.0, workers=1, ahead=10, undivided=True).kind == "fed"


def test_only_the_start_is_slow():
    records = simulated([1000.0] + [5.0] * 100, 10.0, workers=2, ahead=10)
    startup = startup_wait(records, batches=len(records), workers=2)
    assert startup == pytest.approx(1.0, abs=0.01)
    assert verdict(summarise(records), 2, 10, startup_seconds=startup).kind == "start-up"
    assert verdict(summarise(records), 2, 10).kind != "start-up"
    assert startup_wait(records[1:], batches=len(records), workers=2) == 0.0
    slow = simulated([1000.0] + [40.0] * 100, 10.0, workers=2, ahead=10)
    assert verdict(summarise(slow), 2, 10, startup_seconds=startup).kind == "workers"


def test_the_first_batch_of_a_worker_does_not_make_the_queue_longer():
    records = simulated([1000.0, 1000.0] + [38.0] * 200, 10.0, workers=2, ahead=10)
    startup = startup_wait(records, batches=len(records), workers=2)
    found = verdict(summarise(records), 2, 10, startup_seconds=startup)
    assert (found.kind, found.workers_needed, found.ahead_needed) == ("workers", 5, 10)
    assert verdict(summarise(records), 2, 10).ahead_needed > 100


def test_order_does_not_matter_where_there_is_none():
    found = judged(SLOW_NOW_AND_THEN, 10.0, workers=2, ahead=4, ordered=False)
    assert found.ahead_needed == 2 + 6


def test_a_longer_queue_is_not_recommended_where_it_would_not_help():
    """Waits come together, at the start of each epoch, and the queue is long already."""
    found = judged(SLOW_NOW_AND_THEN, 10.0, workers=2, ahead=4)
    summary = summarise(simulated(SLOW_NOW_AND_THEN, 10.0, workers=2, ahead=4))
    again = verdict(summary, workers=2, ahead=found.ahead_needed)
    assert (again.kind, again.ahead_needed) == ("tail", found.ahead_needed)
    assert "a longer queue would not help" in str(again)


def test_a_loop_that_does_nothing_with_its_batches():
    found = judged([40.0] * 300, 0.001, workers=2, ahead=10)
    assert found.kind == "workers"
    assert str(found).endswith("the step is so short that no number of workers would do")


def test_too_few_batches_to_say_anything():
    records = simulated([40.0] * FEWEST_BATCHES, 10.0, workers=2, ahead=10)
    assert verdict(summarise(records), 2, 10).kind == "workers"
    for few in (records[:-1], records[:1], records[:0]):
        found = verdict(summarise(few), 2, 10)
        assert (found.kind, found.workers_needed, found.ahead_needed) == ("unknown", 2, 10)
        assert str(found).startswith(f"nothing to say yet: {len(few)} of ")
    single = simulated([40.0], 10.0, workers=2, ahead=10, epochs=FEWEST_BATCHES)
    assert "no epoch has had two batches" in str(verdict(summarise(single), 2, 10))


def test_a_pause_of_the_loop_does_not_make_workers_idle():
    """A checkpoint of three seconds amid three of training: workers were busy in those."""
    records = simulated([40.0] * 150, 10.0, workers=2, ahead=10)
    for column in ("posted_ns", "started_ns", "made_ns", "asked_ns", "answered_ns"):
        records[column][75:] += 3 * 10**9
    found = verdict(summarise(records), 2, 10)
    assert (found.kind, found.wait_ratio) == ("workers", pytest.approx(0.25, abs=0.01))


def test_the_parts_add_up_to_the_whole():
    make = np.random.default_rng(1).lognormal(3, 1, 500)
    found = judged(make, 10.0, workers=2, ahead=6, upload_ms=8.0)
    parts = [found.production_ratio, found.order_ratio, found.upload_ratio]
    assert sum(parts) == pytest.approx(found.wait_ratio)
    assert min(parts) > 0.01


def test_percentages_are_short():
    assert [percent(ratio) for ratio in (0.0, 0.004, 0.0096, 0.384, 1.0)] == [
        *("0 %", "0.4 %", "1 %", "38 %", "100 %")
    ]
