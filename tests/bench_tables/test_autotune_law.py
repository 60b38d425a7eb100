"""The control law steers simulated loaders, and each of its rules does its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.plant import COURSES, Plant, run_course, steer
from fastfeed.autotune.law import decide, start
from fastfeed.autotune.state import Bar, Limits, Rule, State, Window

SEEDS = range(6)
LEAST = {"8 steps, 4 cores": 0.5, "8 steps, 4 cores, processors not seen": 0.5}
"""What four cores that make half of what the loop uses cannot avoid."""


@pytest.mark.parametrize("name", COURSES)
def test_a_simulated_loader_is_steered_to_where_it_should_be(name: str) -> None:
    courses = [run_course(name, seed) for seed in SEEDS]
    assert np.mean([course.late_stall for course in courses]) <= LEAST.get(name, 0.0) + 0.02
    assert max(len(course.changes) for course in courses) <= 10
    assert all(len(course.stalls) == 60 for course in courses)


@pytest.mark.parametrize("make", [0.9, 1.6, 2.39, 3.1, 8.0])
def test_a_steady_load_leaves_the_workers_alone_after_a_while(make: float) -> None:
    limits = Limits(workers=32, cores=16, ahead=64)
    for seed in SEEDS:
        course = steer(Plant(lambda w: make, 16, seed), limits, 1, 4, windows=120)
        late = [change.workers for window, change in course.changes if window >= 60]
        assert len(set(late)) <= 2 and len(late) <= 2


def test_four_cores_get_four_or_five_workers_however_many_are_wanted() -> None:
    limits = Limits(workers=32, cores=4, ahead=64)
    for seed in SEEDS:
        course = steer(Plant(lambda w: 8, 4, seed), limits, 3, 5)
        assert course.final.workers in (4, 5)
        assert [remark.rule for remark in course.remarks][:1] == [Rule.SHORT]
        assert len(course.remarks) <= 1 + len(course.changes)  # said once, not at every window


def test_workers_beyond_the_processors_are_taken_back_to_what_they_are_good_for() -> None:
    limits = Limits(workers=32, cores=4, ahead=64)
    for seed in SEEDS:
        plant = Plant(lambda w: 8, 4, seed, knows_cpu=False)
        course = steer(plant, limits, 3, 5)
        assert course.final.workers <= 8
        assert Rule.UNDO in [change.rule for _, change in course.changes]


def test_the_same_windows_give_the_same_answers() -> None:
    limits = Limits(workers=32, cores=16, ahead=64)
    courses = [steer(Plant(lambda w: 4, 16, 3, tail=0.01), limits, 1, 4) for _ in range(2)]
    assert courses[0] == courses[1]


# -- single rules ---------------------------------------------------------------------------

LIMITS = Limits(workers=32, cores=8, ahead=64)


def seen(**figures: float | None) -> Window:
    """A window of 50 steps of one second, in which nothing is remarkable."""
    make = np.full(50, figures.pop("make", 1.0))
    plain = {"stall": 0.0, "wait_seconds": 0.001, "step_seconds": 1.0, "busy": 0.8} | figures
    return Window(make_seconds=make, recent_make_seconds=make, **plain)


def settled(workers: int, ahead: int, **known: object) -> State:
    """A state in which the next window counts, and the look-ahead is not due."""
    return State(workers, ahead, settling=0, ahead_due=1000, **known)


@pytest.mark.parametrize(
    ("make", "step", "cores", "first"),
    [(4.0, 1.0, 8, 5), (40.0, 1.0, 8, 8), (1.0, 0.0, 8, 8), (3.0, 1.0, 2.5, 2)],
)
def test_the_first_number_follows_the_first_batches(
    make: float, step: float, cores: float, first: int
) -> None:
    first_ones = seen(make=make, step_seconds=step)
    change = start(State(1, 4), first_ones, replace(LIMITS, cores=cores))
    assert change is not None
    assert (change.rule, change.workers, change.ahead) == (Rule.START, first, max(4, first + 2))


def test_workers_that_sleep_are_not_counted_in_cores() -> None:
    asleep = seen(make=20.0, worker_cores=0.05)
    change = start(State(1, 4), asleep, replace(LIMITS, cores=1))
    assert change is not None and change.workers == 22
    awake = seen(make=20.0, worker_cores=0.95)
    assert start(State(1, 4), awake, replace(LIMITS, cores=1)) is None


def test_one_worker_that_is_enough_stays_alone() -> None:
    assert start(State(1, 4), seen(make=0.001), LIMITS) is None
    assert start(State(1, 4), seen(make=9.0), replace(LIMITS, cores=0.5)) is None


def test_a_number_that_cannot_change_is_explained() -> None:
    fixed = replace(LIMITS, tunes_workers=False)
    assert start(State(3, 5), seen(make=9.0), fixed) is None
    change = start(State(3, 5), seen(make=9.0), fixed, "because")
    assert change is not None
    assert (change.workers, change.ahead, change.reason) == (3, 5, "because")


def test_a_queue_for_which_there_is_no_memory_any_more_is_shortened() -> None:
    state, change = decide(settled(9, 40), seen(make=2.0), replace(LIMITS, ahead=6))
    assert change is not None and (change.rule, state.workers, state.ahead) == (Rule.OBEY, 6, 6)


def test_a_window_that_settles_is_not_looked_at() -> None:
    state, change = decide(State(1, 4), seen(stall=0.9, make=9.0, busy=1.0), LIMITS)
    assert change is None and (state.settling, state.samples) == (0, 0)
    _, change = decide(state, seen(stall=0.9, make=9.0, busy=1.0), LIMITS)
    assert change is not None and (change.rule, change.workers) == (Rule.GROW, 2)
    assert change.reason == "90% waiting; 9 s to make a batch and 1 s to use it ask for 12 workers"


def test_workers_and_queue_grow_together() -> None:
    _, change = decide(settled(4, 4), seen(stall=0.4, make=6.0, busy=1.0), LIMITS)
    assert change is not None
    assert (change.workers, change.ahead) == (8, 10)
    fixed = replace(LIMITS, tunes_ahead=False, ahead=6)
    _, change = decide(settled(4, 6), seen(stall=0.4, make=6.0, busy=1.0), fixed)
    assert change is not None and (change.workers, change.ahead) == (6, 6)


@pytest.mark.parametrize(
    ("figures", "limits", "most"),
    [
        ({}, replace(LIMITS, workers=5), 5),
        ({"worker_cores": 4.0}, replace(LIMITS, cores=6), 6),
        ({"worker_cores": 0.1}, LIMITS, 8),
        ({"host_cpu": 0.95}, LIMITS, 4),
        ({"host_cpu": 0.95, "worker_cores": 0.8}, LIMITS, 4),
        ({"host_cpu": 0.95, "worker_cores": 0.2}, LIMITS, 8),  # others' load, and they sleep
        ({}, replace(LIMITS, tunes_workers=False), 4),
    ],
)
def test_ceilings(figures: dict[str, float], limits: Limits, most: int) -> None:
    state, change = decide(settled(4, 9), seen(stall=0.6, make=9.0, busy=1.0, **figures), limits)
    assert state.workers == most
    if most == 4:
        assert change is not None and change.rule == Rule.SHORT


def test_workers_that_use_too_much_are_taken_back() -> None:
    limits = replace(LIMITS, cores=3.0)
    state, change = decide(settled(6, 9), seen(worker_cores=5.9, make=5.0), limits)
    assert change is not None and (change.rule, state.workers) == (Rule.OBEY, 3)
    assert "use 5.9 cores and may use 3.0" in change.reason
    state, change = decide(settled(3, 9), seen(worker_cores=3.1, make=2.0), limits)
    assert change is None


def test_waiting_while_workers_are_idle_makes_the_queue_longer() -> None:
    make = np.r_[np.full(49, 1.0), 20.0]
    slow = replace(seen(stall=0.2, busy=0.5), make_seconds=make, recent_make_seconds=make)
    state, change = decide(settled(4, 6), slow, LIMITS)
    assert change is not None and change.rule == Rule.LENGTHEN
    assert (change.workers, change.ahead) == (4, state.ahead) and change.ahead >= 20
    for _ in range(6):  # bursts: the formula's answer does not help
        state, change = decide(state, slow, LIMITS)
    assert state.ahead == LIMITS.ahead and state.workers == 4


def test_order_needs_no_long_queue_where_there_is_none() -> None:
    make = np.r_[np.full(49, 1.0), 20.0]
    slow = replace(seen(stall=0.2, busy=0.5), make_seconds=make, recent_make_seconds=make)
    _, change = decide(settled(4, 6), slow, replace(LIMITS, ordered=False))
    assert change is not None and change.ahead == 10


def test_a_short_step_that_waits_for_nothing_but_the_hand_over_hears_of_it_once() -> None:
    state, told = settled(1, 4), []
    for _ in range(4):
        quick = seen(make=3e-6, wait_seconds=12e-6, step_seconds=1e-6, stall=0.0, busy=0.2)
        state, change = decide(state, quick, LIMITS)
        told += [change] if change else []
    assert [change.rule for change in told] == [Rule.NO_USE]
    assert told[0].reason == (
        "workers=0 would be faster: making a batch takes 3 us, and getting one that a worker "
        "makes takes 12 us"
    )
    assert (state.workers, state.ahead) == (1, 4)


def test_one_worker_in_a_loop_that_does_nothing_is_no_reason_to_have_none() -> None:
    idle = seen(make=0.1, wait_seconds=0.101, step_seconds=1e-6, stall=0.99, busy=0.99)
    _, change = decide(settled(1, 4), idle, LIMITS)
    assert change is not None and (change.rule, change.workers) == (Rule.GROW, 2)


def test_idle_workers_go_after_three_windows() -> None:
    state = settled(8, 12)
    for _ in range(2):
        state, change = decide(state, seen(make=2.0, busy=0.25), LIMITS)
        assert change is None
    state, change = decide(state, seen(make=2.0, busy=0.25), LIMITS)
    assert change is not None and (change.rule, state.workers) == (Rule.SHRINK, 3)


def test_a_number_that_was_too_small_is_not_tried_again_soon() -> None:
    state = settled(2, 6, shrunk_from=3)
    state, change = decide(state, seen(stall=0.2, make=1.7, busy=0.9), LIMITS)
    assert change is not None and state.workers == 3
    for _ in range(10):
        state, change = decide(state, seen(make=1.5, busy=0.5), LIMITS)
        assert change is None
    assert state.floor == Bar(3, 65)


def test_the_review_shortens_a_queue_after_three_equal_answers() -> None:
    state, answers = replace(settled(2, 40), ahead_due=0), []
    for _ in range(31):
        state, change = decide(state, seen(make=1.5, busy=0.75), LIMITS)
        answers += [(state.window, change.rule, change.ahead)] if change else []
    assert answers == [(21, Rule.REVIEW, 10)]
