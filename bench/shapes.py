"""Shapes of work whose time is known: sleeping, computing, now and then much longer.

``bench.shapes:steady`` and so on can be given to ``fastfeed tune``. CPU is used until the thread
has had so much of it, so a batch costs the same on every machine, and takes longer where cores are
short, as real work does.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

DRAWN = 4096  # times, before they come again
LENGTH = 1 << 20  # batches an epoch: nobody gets to its end


@dataclass(frozen=True)
class Shape:
    """What a batch takes its worker, and the loop. All in seconds.

    Parameters
    ----------
    name : str
    sleep : float
        Mean time asleep.
    variation : float
        Of the time asleep, standard deviation over mean; lognormal. 0: always the same.
    slow_every, slow_times : int, float
        Each so-and-so-manieth batch sleeps so many times as long; 0: none does.
    cpu : float
        Of the worker's core.
    step : float
        That the loop sleeps after each batch.
    """

    name: str
    sleep: float = 0.0
    variation: float = 0.0
    slow_every: int = 0
    slow_times: float = 10.0
    cpu: float = 0.0
    step: float = 0.005

    def sleeps(self) -> np.ndarray:
        """Return the seconds asleep of each batch; the same in every process."""
        rng = np.random.default_rng(0)
        sigma = np.log1p(self.variation**2) ** 0.5
        drawn = self.sleep * np.exp(sigma * rng.standard_normal(DRAWN) - sigma**2 / 2)
        if self.slow_every:
            drawn[:: self.slow_every] *= self.slow_times
            drawn[:] = drawn[rng.permutation(DRAWN)]
        return drawn


class Work:
    """A source of small batches that take as long as a shape says."""

    def __init__(self, shape: Shape):
        self.shape, self.sleeps = shape, shape.sleeps()

    def __len__(self) -> int:
        return LENGTH

    def __getitem__(self, index: int) -> np.ndarray:
        if self.shape.sleep:
            time.sleep(self.sleeps[index % DRAWN])
        until = time.thread_time() + self.shape.cpu
        while time.thread_time() < until:
            pass
        return np.full(16, index, np.int64)


STEADY = Shape("steady", sleep=0.006, cpu=0.002)
HEAVY_TAIL = Shape("heavy tail", sleep=0.0055, slow_every=50, slow_times=15)
CPU_BOUND = Shape("CPU-bound", cpu=0.007)
SLEEP_BOUND = Shape("sleep-bound", sleep=0.080, variation=0.3)
SHAPES = (STEADY, HEAVY_TAIL, CPU_BOUND, SLEEP_BOUND)


def steady() -> Work:
    """Return the same work for each batch: 2 ms of CPU, 6 ms asleep."""
    return Work(STEADY)


def heavy_tail() -> Work:
    """Return work of which one batch in fifty takes fifteen times as long."""
    return Work(HEAVY_TAIL)


def cpu_bound() -> Work:
    """Return work that needs a core: 7 ms a batch."""
    return Work(CPU_BOUND)


def sleep_bound() -> Work:
    """Return work that waits for a store: 80 ms a batch, with some variation."""
    return Work(SLEEP_BOUND)
