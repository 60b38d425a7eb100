"""The producer alone: what so many workers make when nobody keeps them waiting."""

from __future__ import annotations

import os
import time
from array import array
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastfeed._core import DATA
from fastfeed.loader import Loader
from fastfeed.machine.cpu import CpuMeter
from fastfeed.machine.system import System
from fastfeed.monitor.journal import RECORD, Records
from fastfeed.monitor.sizing import most_ahead
from fastfeed.tuning.deadline import OutOfTime, alarm
from fastfeed.tuning.feeding import Feeding, endless
from fastfeed.tuning.intervals import mean_interval, rate_interval
from fastfeed.tuning.result import Interval, Point

FEWEST_BATCHES = 3
MOST_SAMPLES = 2000
SILENT_SECONDS = 2.0
"""Workers that died are replaced sooner."""
WARM_LOOK_SECONDS = 0.01
WARM_SHARE = 0.5
"""Of the window's length: so long workers may take to begin, and what comes counts as well."""


def private_bytes(pid: int) -> int:
    """Return the memory of a process without what it shares; 0 if it has ended."""
    pages = (System().text(f"proc/{pid}/statm") or "0 0 0").split()
    return (int(pages[1]) - int(pages[2])) * os.sysconf("SC_PAGE_SIZE")


class Run:
    """One measurement. What there is of it stays here when it is ended by an exception.

    Parameters
    ----------
    feeding : Feeding
    workers : int
        Of one rank. All ranks' workers are measured together, because they share the cores.
    slot_bytes : int
        Bytes that a batch takes; 0: not known yet.
    """

    def __init__(self, feeding: Feeding, workers: int, slot_bytes: int = 0) -> None:
        self.workers = workers
        self.batch: Any = None
        """The last one, for the step."""
        self.slot_bytes = slot_bytes
        self.kept_slots = 0
        self.real_workers = workers
        self.worker_bytes = 0
        """Memory of the largest worker process, without what it shares."""
        self.silent_seconds = 0.0
        """No batch had come for so long when the time was up."""
        self._feeding = feeding
        self._arrivals = array("d")
        self._first_seconds = 0.0
        self._cpu_ratio = float("nan")
        self._records: Records = np.empty(0, RECORD)
        self._memory_bytes = 0
        self._bytes_per_batch = 0.0

    def go(self, window: float, end: float, hard_end: float) -> None:
        """Measure for a window's length, or until `end` where batches are slow.

        Parameters
        ----------
        window : float
            Seconds.
        end, hard_end : float
            Of `time.perf_counter`. Only the first batch is waited for until `hard_end`.

        Raises
        ------
        OutOfTime
            There was no batch until `hard_end`.
        Exception
            What the source, or the loader, raises.
        """
        begin = time.perf_counter()
        all_workers = self.workers * self._feeding.ranks
        with self._feeding.loader(all_workers, self._ahead(all_workers), ordered=False) as loader:
            batches = endless(loader)
            try:
                with alarm(hard_end):
                    self.batch = next(batches)
                self._first_seconds = time.perf_counter() - begin
                # However little time there is: enough to tell whether another one comes at all.
                enough = time.perf_counter() + (1 + WARM_SHARE) * window + 1.1 * SILENT_SECONDS
                end = max(end, min(hard_end, enough))
                with alarm(end):
                    self._count(loader, batches, window, end)
            except OutOfTime:
                if self.batch is None:
                    raise
                self.silent_seconds = time.perf_counter() - max(self._arrivals, default=begin)
            finally:
                self._read(loader)

    def _ahead(self, workers: int) -> int:
        """Return enough for workers never to wait, as far as there is memory."""
        enough = 2 * workers + 2
        if not self.slot_bytes:
            return enough
        return min(enough, most_ahead(self.slot_bytes, self._feeding.memory_bytes))

    def _count(self, loader: Loader, batches: Any, window: float, end: float) -> None:
        clock, arrivals = time.perf_counter, self._arrivals
        self._warm_up(loader, batches, min(clock() + WARM_SHARE * window, end))
        meter = CpuMeter()
        stop = clock() + window
        arrivals.append(clock())
        try:
            for self.batch in batches:
                now = clock()
                arrivals.append(now)
                if now >= stop and (len(arrivals) > FEWEST_BATCHES or now >= end):
                    return
        finally:
            self._cpu_ratio = meter.ratio()

    def _warm_up(self, loader: Loader, batches: Any, until: float) -> None:
        """Take batches until every worker has made one."""
        next_look = 0.0
        while (now := time.perf_counter()) < until:
            if now >= next_look:
                if all(worker.batches for worker in loader._view().workers()):
                    return
                next_look = now + WARM_LOOK_SECONDS
            self.batch = next(batches)

    def _read(self, loader: Loader) -> None:
        """Keep what the loader knows, before it is closed."""
        stats = loader.stats()
        self.real_workers = stats.workers
        self.slot_bytes = stats.slot_bytes
        self.kept_slots = stats.slots - stats.ahead
        self._memory_bytes = stats.memory_bytes
        self._bytes_per_batch = stats.bytes / stats.batches if stats.batches else 0.0
        view = loader._view()
        others = {worker.pid for worker in view.workers()} - {os.getpid()}
        self.worker_bytes = max(map(private_bytes, others), default=0)
        records = view.records()
        self._records = records[records["kind"] == DATA]

    @property
    def point(self) -> Point | None:
        """What was measured; None if no batch was."""
        made = self._make_seconds()
        if not made.size:
            return None
        return Point(
            self.workers,
            made[-MOST_SAMPLES:],
            self._rate(made),
            max(0, len(self._arrivals) - 1),
            self._arrivals[-1] - self._arrivals[0] if self._arrivals else 0.0,
            self._bytes_per_batch,
            self._cpu_ratio,
            self._memory_bytes,
            self._first_seconds,
        )

    def _make_seconds(self) -> NDArray[np.float64]:
        """Return the times of the batches begun in the window; of all, where those are few."""
        records = self._records
        if not len(records):
            return np.empty(0)
        if self._arrivals:
            begun = records["started_ns"] >= self._arrivals[0] * 1e9
            if begun.sum() >= FEWEST_BATCHES:
                records = records[begun]
        made: NDArray[np.float64] = records["work_ns"] / 1e9
        return made

    def _rate(self, made: NDArray[np.float64]) -> Interval:
        """Return the batches a second of one rank.

        By what arrived; where that is little, by how long batches take: those of several workers
        arrive together, and a few such bursts are no rate.
        """
        makers = max(1, self.real_workers)
        ranks = max(1, makers // max(1, self.workers))  # whose workers were there
        if len(self._arrivals) > 5 * makers:
            rate = rate_interval(self._arrivals)
            return Interval(rate.mean / ranks, rate.low / ranks, rate.high / ranks)
        times = mean_interval(made)
        each = makers / ranks
        high = each / times.low if times.low > 0 else float("inf")
        return Interval(each / times.mean, each / times.high, high)
