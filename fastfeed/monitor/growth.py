"""Tells a process whose memory grows from one whose memory goes up and down."""

from __future__ import annotations

import os
import statistics
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from fastfeed.errors import gib
from fastfeed.monitor.journal import View

MOST_SAMPLES = 60
FEWEST_SAMPLES = 9
LEAST_BYTES = 8 << 20
"""Growth from a third of the time to the next, below which nothing is said."""
SECOND = 1_000_000_000
PAGE = os.sysconf("SC_PAGE_SIZE")


class Sample(NamedTuple):
    """The private memory of a process at one moment."""

    now_ns: int
    size: int
    epoch: int


class Growth:
    """Samples of a process's private memory, spread over all the time that it is watched."""

    def __init__(self) -> None:
        self._samples: list[Sample] = []
        self._every_ns = SECOND
        self._next_ns = 0

    def add(self, now_ns: int, size: int, epoch: int = 0) -> None:
        """Take a sample of `size` bytes, if it is time for one."""
        if now_ns < self._next_ns:
            return
        self._next_ns = now_ns + self._every_ns
        self._samples.append(Sample(now_ns, size, epoch))
        if len(self._samples) > MOST_SAMPLES:  # from here on half as many
            self._samples = self._samples[::2]
            self._every_ns *= 2

    def steady(self) -> tuple[Sample, Sample] | None:
        """Return what is usual early on and late, if it grew all the time; None if not, or if it
        was not watched for long enough.

        The medians of the three thirds of the time must all rise: batches that come and go move
        no median, and what a worker loads when it starts is in no more than one step.
        """
        if len(self._samples) < FEWEST_SAMPLES:
            return None
        third = len(self._samples) // 3
        first, middle, last = (
            usual(self._samples[start : start + third])
            for start in (0, third, len(self._samples) - third)
        )
        rises = min(middle.size - first.size, last.size - middle.size)
        return (first, last) if rises >= LEAST_BYTES else None

    @property
    def bytes_per_second(self) -> float:
        """How fast it grows; 0.0 if it does not, or was not watched for long enough."""
        found = self.steady()
        if found is None:
            return 0.0
        early, late = found
        return (late.size - early.size) / ((late.now_ns - early.now_ns) / SECOND)


def usual(samples: list[Sample]) -> Sample:
    """Return the median size at the middle of the time."""
    middle = samples[len(samples) // 2]
    return middle._replace(size=int(statistics.median(sample.size for sample in samples)))


def private_bytes(pid: int) -> int | None:
    """Return the memory that a process shares with nobody; None if it has ended. Takes 20 us."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text().split()
    except OSError:
        return None
    return (int(pages[1]) - int(pages[2])) * PAGE


@dataclass(frozen=True)
class Grown:
    """A worker process that grows.

    Attributes
    ----------
    worker, pid : int
    bytes : int
        By which it grew in so many epochs.
    epochs, seconds : int, float
        For how long this was seen.
    """

    worker: int
    pid: int
    bytes: int
    epochs: int
    seconds: float

    def __str__(self) -> str:
        """Say it without the cause."""
        time_ = f"{self.epochs} epochs" if self.epochs > 1 else f"{self.seconds:.0f} s"
        return f"worker {self.worker} (pid {self.pid}) grew by {gib(self.bytes)} in {time_}"


class WorkerMemory:
    """The memory of a loader's worker processes, as long as it is looked at: now and then.

    Attributes
    ----------
    growing : list of Grown
        The workers that grew, as far as the last look tells, the worst first.
    """

    def __init__(self, view: View) -> None:
        self.growing: list[Grown] = []
        self._view = view
        self._growth: dict[tuple[int, int], Growth] = {}
        self._next_ns = 0
        self._looking = threading.Lock()

    def look(self, epoch: int) -> None:
        """Take a sample of each worker, if it is time for one. May be called all the time."""
        now_ns = time.monotonic_ns()
        if now_ns < self._next_ns or not self._looking.acquire(blocking=False):
            return
        try:
            self._next_ns = now_ns + SECOND
            processes = [(worker.worker, worker.pid) for worker in self._view.workers()]
            sizes = {each: private_bytes(each[1]) for each in processes if is_other(each[1])}
            for each, size in sizes.items():
                if size is not None:
                    self._growth.setdefault(each, Growth()).add(now_ns, size, epoch)
            # Of those that have ended, the ones that grew are remembered: it may be why.
            self._growth = {
                each: growth
                for each, growth in self._growth.items()
                if sizes.get(each) is not None or growth.steady()
            }
            self.growing = self._find_growing()
        finally:
            self._looking.release()

    def _find_growing(self) -> list[Grown]:
        found = []
        for (worker, pid), growth in self._growth.items():
            steady = growth.steady()
            if steady is not None:
                early, late = steady
                seconds = (late.now_ns - early.now_ns) / SECOND
                grown = late.size - early.size
                found.append(Grown(worker, pid, grown, late.epoch - early.epoch, seconds))
        return sorted(found, key=lambda grown: -grown.bytes)


def is_other(pid: int) -> bool:
    """Tell whether a worker is a process of its own: of a thread, the number is this one's."""
    return pid not in (0, os.getpid())


def growing_text(growing: list[Grown]) -> str:
    """Name the workers that grow, the likely cause and the cure; "" if there are none."""
    if not growing:
        return ""
    others = len(growing) - 1
    also = f", and {others} other{'s' * (others > 1)} too" if others else ""
    return (
        f"{growing[0]}{also}: the source keeps something of each item that it makes. Look for a "
        "list, a dict or an lru_cache that grows in __getitem__, or for files that stay open; to "
        'keep samples on purpose, once for all workers, use cache="memory".'
    )
