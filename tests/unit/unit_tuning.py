"""Results of tuning as they could have been measured."""

from __future__ import annotations

import numpy as np

from fastfeed.tuning.result import Block, Interval, Point


def point(
    workers: int, make: float | np.ndarray = 0.1, cpu: float = 0.5, rate: float | None = None
) -> Point:
    """So many workers with these make times, in seconds; the rate that follows from them."""
    made = np.broadcast_to(np.asarray(make, float), (100,)) if np.ndim(make) == 0 else make
    mean = rate or max(1, workers) / float(np.mean(made))
    interval = Interval(mean, 0.99 * mean, 1.01 * mean)
    return Point(workers, np.array(made), interval, 100, 3.0, 1e6, cpu, 1 << 24, 0.2)


def waiting(workers: int, seconds: float = 0.02) -> Point:
    """What only waits: any number of workers make as much as that."""
    return point(workers, seconds)


def computing(workers: int, cores: int = 2, seconds: float = 0.02) -> Point:
    """What computes: more workers than cores share them."""
    return point(workers, seconds * max(1.0, workers / cores), cpu=min(1.0, workers / cores))


def blocks(times: dict[int, list[float]], ahead: int = 8) -> list[Block]:
    """Rounds of blocks: the seconds a batch of each number of workers, round by round."""
    return [
        Block(workers, ahead, number, 100, 100 * seconds, 0.1)
        for workers, rounds in times.items()
        for number, seconds in enumerate(rounds)
    ]
