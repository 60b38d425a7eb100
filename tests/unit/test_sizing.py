"""How many workers, how far ahead: the formulae against a loader simulated tick by tick."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastfeed.errors import ArgumentError
from fastfeed.monitor.sizing import (
    look_ahead,
    most_ahead,
    predicted_stall,
    replay,
    workers_needed,
)

TICKS = st.integers(1, 30)
FEW = st.integers(1, 6)


def waits_tick_by_tick(made, step, workers, ahead):
    """What an ordered loader does, with a clock that ticks: nothing is computed ahead of time."""
    opened, making, ready, waits = list(range(min(ahead, len(made)))), {}, set(), []
    posted, busy_until, waited, now = len(opened), 0, 0, 0
    while len(waits) < len(made):
        for index in [index for index, end in making.items() if end == now]:
            del making[index]
            ready.add(index)
        if now >= busy_until and len(waits) in ready:
            waits.append(waited)
            busy_until, waited = now + step, 0
            if posted < len(made):
                opened.append(posted)
                posted += 1
        elif now >= busy_until:
            waited += 1
        while opened and len(making) < workers:
            index = opened.pop(0)
            making[index] = now + made[index]
        now += 1
    return waits


@given(st.lists(TICKS, min_size=1, max_size=40), FEW, FEW, FEW)
def test_a_replay_waits_as_long_as_a_loader_that_ticks(made, step, workers, ahead):
    expected = waits_tick_by_tick(made, step, workers, ahead)
    assert replay(np.array(made, float), step, workers, ahead).tolist() == expected


def lognormal(mean, spread, count, seed):
    """Times with a tail: `spread` is their standard deviation over their mean."""
    sigma = math.sqrt(math.log(1 + spread**2))
    numbers = np.random.default_rng(seed)
    return numbers.lognormal(math.log(mean) - sigma**2 / 2, sigma, count)


SPREADS = pytest.mark.parametrize(
    ("spread", "promised"), [(0.1, 0.01), (0.3, 0.01), (0.6, 0.01), (1.0, 0.06)]
)


@SPREADS
@pytest.mark.parametrize("step", [1 / 3, 1.0])
def test_what_the_rules_recommend_waits_as_little_as_they_promise(spread, promised, step):
    for making in (2, 4, 8, 16):  # batches at a time, in the mean
        made = lognormal(making * step, spread, 8000, seed=making)
        workers = workers_needed(made.mean(), step)
        ahead = look_ahead(made[:500], step, workers)
        waits = replay(made, step, workers, ahead)[500:]
        assert waits.mean() / (waits.mean() + step) <= promised, f"{workers=} {ahead=}"


@SPREADS
def test_a_worker_less_than_the_work_is_not_promised_to_do(spread, promised):
    made = lognormal(4.0, spread, 4000, seed=1)
    ahead = look_ahead(made, 1.0, workers=3)
    assert predicted_stall(made, 1.0, workers=3, ahead=ahead) > 0.2


def test_batches_that_are_ten_times_slower_need_a_longer_queue():
    made = np.full(10_000, 6.25)
    made[::100] *= 10  # one in a hundred, 8 workers that are busy for 85 % of the time
    assert look_ahead(made, 1.0, workers=8) > 60
    assert predicted_stall(made, 1.0, workers=8, ahead=16) > 0.2
    assert predicted_stall(made, 1.0, workers=8, ahead=look_ahead(made, 1.0, 8)) < 0.01


@given(st.lists(st.floats(0.001, 10), min_size=1, max_size=50), st.floats(0.001, 10), FEW)
def test_the_look_ahead_is_the_least_that_keeps_its_formula(made, step, workers):
    ahead = look_ahead(made, step, workers)
    assert ahead >= workers + 2
    least = next(n for n in range(10**6) if late(made, n * step) <= 0.01 * step * (1 + 1e-9))
    assert ahead in {max(workers + 2, math.ceil(1.5 * n)) for n in (least, least + 1)}  # rounding


def late(made, slack):
    """How late batches are in the mean, if each is begun `slack` before it is needed."""
    return np.maximum(np.array(made) - slack, 0).mean()


@settings(max_examples=30)
@given(st.lists(st.floats(0, 10), min_size=1, max_size=50), st.floats(0.01, 10), FEW, FEW)
def test_a_stall_is_a_share_and_a_longer_queue_never_adds_to_it(made, step, workers, ahead):
    stall = predicted_stall(made, step, workers, ahead)
    assert 0 <= stall < 1
    waited, less = (replay(np.array(made), step, workers, ahead + n).sum() for n in (0, 1))
    assert less <= waited + 1e-9


def test_one_worker_and_steady_times_are_exact():
    assert predicted_stall([0.030], 0.010, workers=1, ahead=4) == pytest.approx(2 / 3)
    assert predicted_stall([0.030], 0.010, workers=2, ahead=4) == pytest.approx(1 / 3)
    assert predicted_stall([0.030], 0.010, workers=4, ahead=6) == 0.0
    assert predicted_stall([0.030], 0.010, workers=4, ahead=1) == pytest.approx(2 / 3)
    assert (workers_needed(0.030, 0.010), workers_needed(0.030, 0.010, headroom=1.0)) == (4, 3)
    assert workers_needed(0.0, 0.010) == 1


def test_memory_bounds_what_may_be_ahead():
    assert most_ahead(5 << 20, 2 << 30) == 409
    assert most_ahead(5 << 30, 2 << 30) == 1


@pytest.mark.parametrize(
    "call",
    [
        lambda: workers_needed(0.1, 0.0),
        lambda: workers_needed(0.1, -1.0),
        lambda: workers_needed(0.1, math.nan),
        lambda: workers_needed(-0.1, 0.1),
        lambda: workers_needed(math.inf, 0.1),
        lambda: workers_needed(0.1, 0.1, headroom=0.0),
        lambda: workers_needed(0.1, 0.1, headroom=1.1),
        lambda: look_ahead([], 0.1, 1),
        lambda: look_ahead([0.1, math.nan], 0.1, 1),
        lambda: look_ahead([[0.1]], 0.1, 1),
        lambda: look_ahead([0.1], 0.1, 0),
        lambda: look_ahead([0.1], 0.1, 1, stall=0.0),
        lambda: predicted_stall([0.1], 0.1, 0, 1),
        lambda: predicted_stall([0.1], 0.1, 1, 0),
        lambda: most_ahead(0, 1),
        lambda: most_ahead(1, 0),
    ],
)
def test_what_makes_no_sense_is_refused(call):
    with pytest.raises(ArgumentError, match="Received: "):
        call()
