"""Which numbers of workers are worth measuring."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from fastfeed.monitor.sizing import HEADROOM, workers_needed
from fastfeed.tuning.choice import fewest_enough
from fastfeed.tuning.result import Point

GAIN = 1.05
"""A step up that brings less has brought nothing."""
IN_A_ROW = 2
"""So many steps up without use end the ladder; one may be noise."""
BUSY = 0.95
"""Where cores are busier than this, one step up without use is no noise. It may be others who
keep them busy, so this alone ends nothing."""
SCALING = 0.5
"""Share of the gain that as many more workers could bring at the most. Beyond one and a half
workers a core only those who wait for something else reach it."""
MOST_WORKERS = 64
INLINE_SECONDS = 0.001
INLINE_SHARE = 0.05


def next_workers(
    points: Sequence[Point], cores: float, step_seconds: float | None, most: int = MOST_WORKERS
) -> int | None:
    """Return how many workers to measure next; None: the ladder ends here.

    1, 2, 4, ... up to the cores, one and a half times as many, and on while each helps as much as
    those before, with as many as the step needs; then the fewest that are enough for it, or one
    fewer than the best. The climb ends when twice in a row the rate rose by less than 5 %, or was
    enough for the step; with busy cores, when it rose by less once.

    Parameters
    ----------
    points : sequence of Point
        Measured so far, in their order.
    cores : float
        For the workers of one rank.
    step_seconds : float or None
    most : int
        For more there is no memory.
    """
    rungs = [point for point in points if point.workers]
    if not rungs:
        return 1
    climbing = all(low.workers < high.workers for low, high in itertools.pairwise(rungs))
    if climbing and not _is_top(rungs, cores, step_seconds):
        above = min(_above(rungs[-1], cores, step_seconds), most)
        if above > rungs[-1].workers:
            return above
    return _last(rungs, step_seconds)


def inline_is_worth_it(one: Point, step_seconds: float | None) -> bool:
    """Return whether batches are so quick to make that the calling thread may do it."""
    return one.make_mean_seconds < max(INLINE_SECONDS, INLINE_SHARE * (step_seconds or 0.0))


def expected_rungs(cores: float) -> int:
    """Return about how many points the ladder will have, to divide the time."""
    return math.ceil(math.log2(max(1.0, cores))) + 4


def _above(last: Point, cores: float, step_seconds: float | None) -> int:
    """Return the next rung. Beyond one and a half times the cores, more help only where they wait
    for something else: then the times say how many are enough, and they are next.
    """
    workers, whole, half_more = last.workers, max(1, math.floor(cores)), math.ceil(1.5 * cores)
    if workers < whole:
        return min(2 * workers, whole)
    if workers < half_more:
        return half_more
    wanted = workers_needed(last.make_mean_seconds, step_seconds) if step_seconds else 0
    return max(wanted, workers + 1) if wanted else 2 * workers


def _is_top(rungs: Sequence[Point], cores: float, step_seconds: float | None) -> bool:
    last = rungs[-1]
    if last.cpu_ratio > BUSY and not _gained(rungs):
        return True
    if last.workers >= 1.5 * cores and (not scales(rungs) or _is_enough(last, step_seconds)):
        return True
    return len(rungs) >= IN_A_ROW and not any(
        _gained(rungs[: end + 1]) and not _is_enough(rungs[end], step_seconds)
        for end in range(len(rungs) - IN_A_ROW, len(rungs))
    )


def _gained(rungs: Sequence[Point]) -> bool:
    """Return whether the last one is faster than all before."""
    before = [point.batches_per_second.mean for point in rungs[:-1]]
    return rungs[-1].batches_per_second.mean > GAIN * max(before, default=0.0)


def scales(points: Sequence[Point]) -> bool:
    """Return whether the step up to the most workers brought about what it could."""
    rungs = sorted((point for point in points if point.workers), key=lambda each: each.workers)
    if len(rungs) < 2:
        return True
    low, high = rungs[-2:]
    gained = high.batches_per_second.mean / low.batches_per_second.mean - 1
    return gained >= SCALING * (high.workers / low.workers - 1)


def _is_enough(point: Point, step_seconds: float | None) -> bool:
    if step_seconds is None:
        return False
    return HEADROOM * point.batches_per_second.mean * step_seconds >= 1


def _last(rungs: Sequence[Point], step_seconds: float | None) -> int | None:
    """Return the number of workers that the answer may be, if it was not measured yet."""
    by_workers = sorted(rungs, key=lambda point: point.workers)
    wanted = fewest_enough(by_workers, step_seconds) if step_seconds else None
    if wanted is None:
        wanted = max(rungs, key=lambda point: point.batches_per_second.mean).workers - 1
    return wanted if wanted and wanted not in {point.workers for point in rungs} else None
