"""How many workers and how long a queue a training step needs, from measured times.

Symbols, all in seconds: Tc one step without waiting; s_i the making of batch i in one worker, S
their mean; W workers; A batches ahead of the consumer, which is the loader's ``max_queue_size``.
"""

from __future__ import annotations

import heapq
import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastfeed.errors import ArgumentError

Times = NDArray[np.float64]

HEADROOM = 0.8
"""Share of the workers' time that is planned for. Queues grow without bound towards 1."""
STALL = 0.01
"""Waiting that is put up with, as a share of the step."""
MARGIN = 1.5
"""On the least look-ahead: its formula takes every ticket to find a free worker at once."""
REPLAYED = 2000
"""Batches that `predicted_stall` replays at least; a few milliseconds."""


def workers_needed(
    make_seconds_mean: float, step_seconds: float, headroom: float = HEADROOM
) -> int:
    """Return how many workers make batches as fast as the step uses them.

    Little's law: S / Tc batches are in the making at any time, so ``W = ceil(S / (headroom Tc))``.
    S is to be measured with about as many workers at work: it grows where they share cores.

    Parameters
    ----------
    make_seconds_mean : float
        S, at least 0.
    step_seconds : float
        Tc, above 0.
    headroom : float
        Share of the time that workers are to be busy, from above 0 to 1.

    Returns
    -------
    int
        At least 1.

    Raises
    ------
    ArgumentError
        A time is negative or not finite, the step takes no time (then no number of workers is
        enough), or the headroom is out of range.

    Examples
    --------
    >>> workers_needed(0.100, 0.035)  # 100 ms to make, 35 ms to use
    4
    """
    made = times(make_seconds_mean, "make_seconds_mean")
    step = step_time(step_seconds)
    if not 0 < headroom <= 1:
        raise ArgumentError("headroom must be above 0, and 1 at the most.", f"headroom={headroom}")
    return max(1, math.ceil(float(made.mean()) / (headroom * step)))


def look_ahead(
    make_seconds: ArrayLike, step_seconds: float, workers: int, stall: float = STALL
) -> int:
    """Return the `max_queue_size` with which an ordered loader seldom waits for a slow batch.

    A ticket is posted when the consumer is A steps before its batch, so that one keeps it waiting
    for ``s_i - A Tc``, where that is positive. The least look-ahead is the smallest A for which
    this is at most ``stall * Tc`` in the mean; half as much again covers the wait of tickets for
    a free worker, and a worker must always find a ticket: ``max(W + 2, ceil(1.5 A))``.

    In simulations of log-normal times with `workers_needed` workers that left 1 % of stall or
    less where the standard deviation is up to 0.6 of the mean, and a few percent where it equals
    the mean. `tests/unit/test_sizing.py` simulates it again.

    Parameters
    ----------
    make_seconds : array_like of float, shape (batches,)
        s_i. The slow ones matter, so some hundreds.
    step_seconds : float
        Tc, above 0.
    workers : int
        W, at least 1.
    stall : float
        Share of the step, above 0.

    Raises
    ------
    ArgumentError
        An argument is out of range, or there are no times.

    Examples
    --------
    >>> look_ahead([0.010] * 99 + [0.200], step_seconds=0.012, workers=2)
    24
    """
    made = times(make_seconds, "make_seconds")
    step = step_time(step_seconds)
    if workers < 1 or not stall > 0:
        raise ArgumentError(
            "workers must be at least 1, and stall above 0.", f"workers={workers}, stall={stall}"
        )
    least, enough = 0, math.ceil(float(made.max()) / step)
    while least < enough:  # the mean falls as A grows
        middle = (least + enough) // 2
        late = np.maximum(made - middle * step, 0).mean()
        least, enough = (least, middle) if late <= stall * step else (middle + 1, enough)
    return max(workers + 2, math.ceil(MARGIN * least))


def predicted_stall(
    make_seconds: ArrayLike, step_seconds: float, workers: int, ahead: int
) -> float:
    """Return the share of its time that a consumer of an ordered loader will wait.

    Replays the loader with the measured times, in their order: the lowest ticket goes to the first
    worker that is free, and one more is posted when a batch is handed out. The closed formula
    ``max(Tc, S/W) + mean of (s_i - A Tc) where positive`` counts the same wait twice where workers
    are short, and is wrong by tens of points there.

    Parameters
    ----------
    make_seconds : array_like of float, shape (batches,)
        s_i as measured with as many workers at work. They are repeated if they are few.
    step_seconds : float
        Tc, above 0.
    workers, ahead : int
        W and A, at least 1.

    Returns
    -------
    float
        wait / (wait + step), from 0 to 1. The first batches, which nothing was ahead of, do not
        count.

    Raises
    ------
    ArgumentError
        An argument is out of range, or there are no times.
    """
    made = times(make_seconds, "make_seconds")
    step = step_time(step_seconds)
    if workers < 1 or ahead < 1:
        raise ArgumentError(
            "workers and ahead must be at least 1.", f"workers={workers}, ahead={ahead}"
        )
    warm_up = ahead + 10 * workers
    batches = np.resize(made, warm_up + max(REPLAYED, made.size))
    waits = replay(batches, step, workers, ahead)[warm_up:]
    return float(waits.sum() / (waits.sum() + step * waits.size))


def replay(made: Times, step: float, workers: int, ahead: int) -> Times:
    """Return how long an ordered loader's consumer waits for each batch, in seconds."""
    free_at = [0.0] * workers
    ready_at = np.empty_like(made)
    waits = np.empty_like(made)
    posted, now = 0, 0.0
    for taken in range(made.size):
        while posted < min(taken + ahead, made.size):  # the last one was handed out `now`
            ready_at[posted] = max(now, free_at[0]) + made[posted]
            heapq.heapreplace(free_at, ready_at[posted])
            posted += 1
        asked = now + step if taken else 0.0
        now = max(asked, float(ready_at[taken]))
        waits[taken] = now - asked
    return waits


def most_ahead(slot_bytes: int, budget_bytes: int) -> int:
    """Return how many batches ahead fit into the budget, ``budget // slot``; at least 1.

    Raises
    ------
    ArgumentError
        A number is not positive.
    """
    if slot_bytes < 1 or budget_bytes < 1:
        raise ArgumentError(
            "slot_bytes and budget_bytes must be positive.",
            f"slot_bytes={slot_bytes}, budget_bytes={budget_bytes}",
        )
    return max(1, budget_bytes // slot_bytes)


def times(seconds: ArrayLike, name: str) -> Times:
    """Return measured times as an array; refuse what cannot be any."""
    made = np.atleast_1d(np.asarray(seconds, np.float64))
    if made.ndim != 1 or not made.size or not np.isfinite(made).all() or made.min() < 0:
        raise ArgumentError(f"{name} must be seconds, finite and not negative.", f"{seconds!r}")
    return made


def step_time(seconds: float) -> float:
    """Return Tc; refuse one that takes no time, for which nothing is fast enough."""
    if not (math.isfinite(seconds) and seconds > 0):
        raise ArgumentError(
            "step_seconds must be above 0: no number of workers feeds a step that takes no time.",
            f"step_seconds={seconds}",
        )
    return float(seconds)
