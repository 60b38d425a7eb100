"""From what was measured to the answer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fastfeed.engine import MOST_AHEAD
from fastfeed.monitor.sizing import (
    HEADROOM,
    look_ahead,
    most_ahead,
    predicted_stall,
    workers_needed,
)
from fastfeed.tuning.intervals import mean_interval
from fastfeed.tuning.result import Block, Interval, Point, Times

AS_GOOD = 1.02
"""Within this factor of the best, fewer workers are the better answer."""
FLAT = 1.05
"""A gain up to this factor may be noise; more, however unsure, is not given away."""
SPARE = 2
"""Batches ahead beyond one a worker where nothing was measured."""


@dataclass(frozen=True)
class Room:
    """How long a queue may be.

    Parameters
    ----------
    memory_bytes : int
        That the slots of one rank may take.
    slot_bytes : int
        Of one batch; 0: not known.
    kept_slots : int
        Slots besides those ahead: for batches in use.
    """

    memory_bytes: int
    slot_bytes: int = 0
    kept_slots: int = 0

    @property
    def most_ahead(self) -> int:
        """`max_queue_size` that still fits."""
        if not self.slot_bytes:
            return MOST_AHEAD
        fits = most_ahead(self.slot_bytes, self.memory_bytes) - self.kept_slots
        return min(max(1, fits), MOST_AHEAD)


@dataclass(frozen=True)
class Choice:
    """An answer from the times alone.

    Parameters
    ----------
    workers, ahead : int
    bound : str
        What `ahead` comes from, as in `TuneResult.bound`.
    step_seconds : float
        What it is for: the step; or the time a batch takes to come, where that is longer.
    needed : int or None
        Workers that would keep the step fed.
    stall : float or None
        Predicted.
    """

    workers: int
    ahead: int
    bound: str
    step_seconds: float
    needed: int | None
    stall: float | None


def choose(points: Sequence[Point], step_seconds: float | None, room: Room) -> Choice:
    """Return the workers and the look-ahead that measured times ask for.

    Parameters
    ----------
    points : sequence of Point
        At least one with workers.
    step_seconds : float or None
        Tc. None: as many as make more.
    room : Room
    """
    rungs = sorted((point for point in points if point.workers), key=lambda each: each.workers)
    workers, needed = fewest_of_the_fastest(rungs), None
    if step_seconds is not None:
        enough = fewest_enough(rungs, step_seconds)
        workers = enough or workers
        needed = enough or _extrapolated(rungs, step_seconds)
    return at(rungs, workers, step_seconds, room, needed)


def at(
    rungs: Sequence[Point],
    workers: int,
    step_seconds: float | None,
    room: Room,
    needed: int | None = None,
) -> Choice:
    """Return the look-ahead and the stall of so many workers, at least one."""
    made = make_seconds(rungs, workers)
    pace = max(step_seconds or 0.0, float(made.mean()) / workers)
    wanted = look_ahead(made, pace, workers)
    bound = "workers" if wanted == workers + SPARE else "batch times"
    if wanted > room.most_ahead:
        wanted, bound = room.most_ahead, "memory"
    stall = None if step_seconds is None else predicted_stall(made, step_seconds, workers, wanted)
    return Choice(workers, wanted, bound, pace, needed, stall)


def fewest_enough(rungs: Sequence[Point], step_seconds: float) -> int | None:
    """Return the least W with ``S(W) / W <= 0.8 Tc``; None: not among those measured.

    Between two rungs S is taken to grow in a straight line.
    """
    measured = [point.workers for point in rungs]
    means = [point.make_mean_seconds for point in rungs]
    for workers in range(1, measured[-1] + 1):
        made = float(np.interp(workers, measured, means))
        if made / workers <= HEADROOM * step_seconds:
            return workers
    return None


def fewest_of_the_fastest(rungs: Sequence[Point]) -> int:
    """Return the fewest measured workers that make as many batches as any number, nearly."""
    best = max(point.batches_per_second.mean for point in rungs)
    return min(point.workers for point in rungs if point.batches_per_second.mean * AS_GOOD >= best)


def _extrapolated(rungs: Sequence[Point], step_seconds: float) -> int:
    """Return how many would do if each made as much as each of the fastest does."""
    fastest = max(rungs, key=lambda point: point.batches_per_second.mean)
    each = fastest.workers / fastest.batches_per_second.mean
    return max(fastest.workers + 1, workers_needed(each, step_seconds))


def make_seconds(rungs: Sequence[Point], workers: int) -> Times:
    """Return the times of the rung next above, scaled to the mean that lies between."""
    above = next((point for point in rungs if point.workers >= workers), rungs[-1])
    measured = [point.workers for point in rungs]
    mean = np.interp(workers, measured, [point.make_mean_seconds for point in rungs])
    return above.make_seconds * (mean / above.make_mean_seconds)


# -- both together ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """What the blocks say.

    Parameters
    ----------
    workers : int
        The answer.
    flat : bool
        The differences are noise.
    """

    workers: int
    flat: bool


def seconds_per_batch(blocks: Sequence[Block]) -> dict[int, Interval]:
    """Return the mean time of a batch for each number of workers."""
    found: dict[int, list[float]] = {}
    for block in blocks:
        found.setdefault(block.workers, []).append(block.seconds_per_batch)
    return {workers: mean_interval(times) for workers, times in sorted(found.items())}


def settle(blocks: Sequence[Block]) -> Outcome | None:
    """Return the fewest workers within 2 % of the best; None without blocks.

    Where these are not surely better than the fewest of all, and not by much if they are, that is
    noise: then the fewest of all will do.
    """
    times = seconds_per_batch(blocks)
    if not times:
        return None
    fewest, best = min(times), min(times, key=lambda each: times[each].mean)
    near = min(each for each, time in times.items() if time.mean <= AS_GOOD * times[best].mean)
    if near == fewest:
        return Outcome(fewest, flat=len(times) > 1)
    gain = times[fewest].mean / times[near].mean
    if gain <= FLAT and is_noise(blocks, fewest, near):
        return Outcome(fewest, flat=True)
    return Outcome(near, flat=False)


def is_noise(blocks: Sequence[Block], fewer: int, more: int) -> bool:
    """Return whether `more` workers were not surely faster than `fewer`, round by round."""
    by_round = {(block.round, block.workers): block.seconds_per_batch for block in blocks}
    gains = [
        math.log(by_round[number, fewer] / by_round[number, more])
        for number in sorted({block.round for block in blocks})
        if (number, fewer) in by_round and (number, more) in by_round
    ]
    return not gains or mean_interval(gains).low <= 0
