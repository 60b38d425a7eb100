"""From measured times to the answer: on work whose best number of workers is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from unit_tuning import blocks, computing, point, waiting

from fastfeed.tuning import ladder
from fastfeed.tuning.answer import Measured, answer
from fastfeed.tuning.choice import Room, choose, settle
from fastfeed.tuning.intervals import mean_interval, rate_interval
from fastfeed.tuning.result import Point, StepTimes, TuneResult

ROOM = Room(1 << 30, 1 << 20, 4)


def climbed(
    kind: object, cores: float, step_seconds: float | None, most: int = ladder.MOST_WORKERS
) -> list[int]:
    """The numbers of workers that the ladder asks for, of such work."""
    points: list[Point] = []
    while (workers := ladder.next_workers(points, cores, step_seconds, most)) is not None:
        assert len(points) < 20
        points.append(kind(workers))  # type: ignore[operator]
    return [each.workers for each in points]


def test_work_that_computes_is_climbed_until_cores_are_busy() -> None:
    assert climbed(computing, 2, None) == [1, 2, 3]
    assert climbed(lambda workers: computing(workers, 6), 6, None) == [1, 2, 4, 6, 9, 5]


def test_work_that_waits_is_climbed_beyond_the_cores() -> None:
    assert climbed(waiting, 2, None)[:6] == [1, 2, 3, 6, 12, 24]
    assert max(climbed(waiting, 2, None)) <= ladder.MOST_WORKERS


def test_work_that_waits_jumps_to_what_the_step_needs() -> None:
    assert climbed(lambda workers: waiting(workers, 0.08), 2, 0.005) == [1, 2, 3, 20]
    assert climbed(lambda workers: waiting(workers, 0.8), 2, 0.005) == [1, 2, 3, 64, 63]


def test_memory_may_end_the_climb() -> None:
    assert climbed(waiting, 2, None, 5)[-2:] == [5, 4]
    assert climbed(waiting, 2, None, 1) == [1]


def test_the_climb_ends_where_it_is_enough_twice() -> None:
    assert climbed(waiting, 8, 0.02) == [1, 2, 4]
    assert climbed(waiting, 8, 0.0085) == [1, 2, 4, 8, 3]  # 3 are enough, and not a rung


def test_a_lock_that_makes_more_workers_slower_ends_it_after_two_steps() -> None:
    assert climbed(lambda workers: point(workers, rate=50 / workers), 16, None) == [1, 2, 4]


def test_one_core_and_less() -> None:
    assert climbed(lambda workers: computing(workers, 1), 1, None) == [1, 2]
    assert climbed(lambda workers: computing(workers, 1), 0.5, None)[:2] == [1, 2]


@pytest.mark.parametrize(
    ("made", "step", "worth"), [(1e-5, None, True), (0.1, None, False), (0.004, 0.1, True)]
)
def test_the_calling_thread_is_tried_where_batches_are_quick(
    made: float, step: float | None, worth: bool
) -> None:
    assert ladder.inline_is_worth_it(point(1, made), step) is worth


def test_workers_are_the_fewest_with_headroom() -> None:
    chosen = choose([waiting(each) for each in (1, 2, 4, 8)], 0.0085, ROOM)
    assert (chosen.workers, chosen.needed, chosen.bound) == (3, 3, "workers")
    assert chosen.ahead == 5
    assert chosen.stall == pytest.approx(0, abs=0.001)


def test_too_few_cores_say_how_many_would_do() -> None:
    chosen = choose([computing(each) for each in (1, 2, 3)], 0.002, ROOM)
    assert chosen.workers == 2
    assert chosen.needed == math.ceil(0.02 / (0.8 * 0.002))
    assert chosen.stall == pytest.approx(0.8, abs=0.01)  # 2 of 10 ms in 10


def test_a_tail_needs_a_long_queue_and_memory_may_forbid_it() -> None:
    made = np.full(100, 0.008)
    made[7::50] = 0.2
    points = [point(each, made) for each in (1, 2, 3)]
    long = choose(points, 0.01, ROOM)
    assert (long.workers, long.bound) == (2, "batch times")
    assert long.ahead > 20 and long.stall == pytest.approx(0, abs=0.01)
    short = choose(points, 0.01, Room(8 << 20, 1 << 20, 4))
    assert (short.ahead, short.bound) == (4, "memory")
    assert short.stall is not None and short.stall > 0.1


def test_without_a_step_it_is_where_more_make_no_more() -> None:
    chosen = choose([computing(each) for each in (1, 2, 3)], None, ROOM)
    assert (chosen.workers, chosen.needed, chosen.stall) == (2, None, None)


def test_the_fewest_within_two_percent_are_chosen() -> None:
    outcome = settle(blocks({1: [0.20] * 3, 2: [0.101] * 3, 3: [0.100] * 3}))
    assert outcome is not None and (outcome.workers, outcome.flat) == (2, False)


def test_noise_is_flat_and_the_fewest_will_do() -> None:
    noisy = {2: [0.100, 0.108, 0.104], 3: [0.104, 0.099, 0.102], 4: [0.097, 0.105, 0.101]}
    outcome = settle(blocks(noisy))
    assert outcome is not None and (outcome.workers, outcome.flat) == (2, True)


def test_a_large_gain_is_not_given_away_because_it_is_unsure() -> None:
    outcome = settle(blocks({1: [0.1, 0.1, 0.19], 2: [0.1, 0.1, 0.1]}))
    assert outcome is not None and (outcome.workers, outcome.flat) == (2, False)


def test_nothing_is_settled_without_blocks() -> None:
    assert settle([]) is None


# -- all of it ------------------------------------------------------------------------------


def step(seconds: float) -> StepTimes:
    return StepTimes(np.full(30, seconds), seconds, seconds, "sleep")


EMPTY = TuneResult("m:s", 2, 4, "default", "", machine={"usable_cores": 2.0})


def measured(points: list[Point], seconds: float | None, **more: object) -> TuneResult:
    found = Measured(ROOM, points, step(seconds) if seconds else None, **more)  # type: ignore[arg-type]
    return answer(found, EMPTY)


def test_nothing_measured_gives_the_cores_and_says_so() -> None:
    result = measured([], 0.01)
    assert (result.workers, result.max_queue_size, result.bound) == (2, 4, "default")
    assert "nothing is measured" in result.verdict


def test_a_queue_cannot_hide_for_long_that_workers_are_too_few() -> None:
    points = [waiting(each) for each in (1, 2, 3)]  # 20 ms; 1 makes 0.75 of what is used
    result = measured(points, 0.015, blocks=blocks({1: [0.0151] * 3, 2: [0.015] * 3}))
    assert result.workers == 2


def test_fewer_than_three_rounds_change_nothing() -> None:
    points = [waiting(each) for each in (1, 2, 3)]
    result = measured(points, 0.015, blocks=blocks({2: [0.02] * 2, 3: [0.015] * 2}))
    assert result.workers == 2
    assert any("rounds" in warning for warning in result.warnings)


def test_the_real_loop_decides() -> None:
    points = [waiting(each) for each in (1, 2, 3)]
    result = measured(points, 0.015, blocks=blocks({2: [0.020] * 4, 3: [0.015] * 4}))
    assert (result.workers, result.max_queue_size) == (3, 8)
    assert result.measured_stall == pytest.approx(0.1)


@pytest.mark.parametrize(("seconds", "workers"), [(0.01, 0), (2e-5, 1)])
def test_the_calling_thread_where_it_is_as_good(seconds: float, workers: int) -> None:
    result = measured([point(1, 1e-5), point(0, 1e-5)], seconds)
    assert result.workers == workers
    if not workers:
        assert result.max_queue_size == 1
        assert result.predicted_stall == pytest.approx(0.001, rel=0.01)
        assert "No workers" in result.verdict


@pytest.mark.parametrize(
    ("points", "seconds", "more", "said"),
    [
        ([waiting(1), waiting(2)], 0.03, {}, "Fed: 1 worker feeds the step of 30 ms"),
        ([computing(1), computing(2), computing(4)], 0.002, {}, "cores are busy: 13 workers"),
        ([waiting(1), waiting(2)], 0.002, {}, "It grew with every worker that was tried: 13"),
        ([point(1, 0.007, 1.0), point(2, 0.016, 1.0)], 0.005, {}, "or other programs use them"),
        ([waiting(1)], 0.002, {"one_stream": True}, "divided among 13 workers it would do"),
        ([point(each, rate=50) for each in (1, 2, 4)], 0.002, {}, "they wait for the same thing"),
        ([waiting(1), waiting(2)], None, {}, "2 workers made 100 batches/s"),
    ],
)
def test_verdicts(
    points: list[Point], seconds: float | None, more: dict[str, object], said: str
) -> None:
    assert said in measured(points, seconds, **more).verdict


def test_few_batches_are_a_warning() -> None:
    result = measured([point(1, np.full(7, 0.1))], 0.2)
    assert any("No more than 7 batches" in warning for warning in result.warnings)


# -- how sure -------------------------------------------------------------------------------


def test_nineteen_of_twenty_intervals_hold_the_mean() -> None:
    rng = np.random.default_rng(5)
    found = [mean_interval(rng.normal(10, 3, 5)) for _ in range(2000)]
    share = np.mean([each.low <= 10 <= each.high for each in found])
    assert 0.93 <= share <= 0.97


def test_two_samples_tell_nothing() -> None:
    found = mean_interval([1.0, 2.0])
    assert (found.mean, found.low, found.high) == (1.5, -math.inf, math.inf)


def test_a_rate_is_what_arrived_in_the_time() -> None:
    found = rate_interval(np.arange(101) * 0.02)
    assert found.mean == pytest.approx(50)
    assert found.low == pytest.approx(50) and found.high == pytest.approx(50)
    uneven = rate_interval(np.cumsum(np.r_[np.full(50, 0.01), np.full(50, 0.05)]))
    assert uneven.low < uneven.mean < uneven.high
