"""From the journal and the processors' counters to what a window has shown."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastfeed._core import DATA
from fastfeed.autotune.state import Window
from fastfeed.machine.cpu import CpuMeter
from fastfeed.monitor.journal import Records, View
from fastfeed.monitor.summary import LONG_STEP, step_seconds
from fastfeed.workers.clocks import cpu_seconds
from fastfeed.workers.pool import ElasticPool

MOST_RECORDS = 4096
"""Of one window: enough for its means, and read in a millisecond."""
RECENT = 500
"""Batches whose make times the look-ahead is computed from."""


class Observer:
    """Looks at a loader, window after window.

    Parameters
    ----------
    view : View
        Of the loader.
    pool : ElasticPool
        Its workers.

    Attributes
    ----------
    has_begun : bool
        There is a window.
    """

    def __init__(self, view: View, pool: ElasticPool) -> None:
        self._view = view
        self._pool = pool
        self._recent: NDArray[np.float64] = np.empty(0)
        self._known: set[int] = set()  # workers that have made a batch
        self.has_begun = False

    def begin(self) -> None:
        """Start a window here."""
        self.has_begun = True
        totals = self._view.totals()
        self._started_ns = time.monotonic_ns()
        self._batches = totals.batches
        self._meter = CpuMeter()
        self._cpu = self._cpu_seconds()

    @property
    def seconds(self) -> float:
        """Since the window began."""
        return (time.monotonic_ns() - self._started_ns) / 1e9

    @property
    def now_s(self) -> float:
        """Seconds since the loader was made."""
        return (time.monotonic_ns() - self._view.totals().started_ns) / 1e9

    @property
    def batches(self) -> int:
        """Handed out in all."""
        return self._view.totals().batches

    @property
    def steps(self) -> int:
        """Batches handed out since the window began."""
        return self.batches - self._batches

    def records(self, newest: int) -> Records:
        """Return the batches of the window; `newest`: number of the next ticket."""
        records = self._view.records(max(0, newest - MOST_RECORDS))
        wanted = (records["asked_ns"] >= self._started_ns) & (records["kind"] == DATA)
        return np.asarray(records[wanted])

    def look(self, records: Records) -> Window | None:
        """Return what the window has shown; None if it was too little."""
        figures = Figures.of(records, self._warm(records))
        if figures is None:
            return None
        self._recent = np.concatenate([self._recent, figures.make])[-RECENT:]
        host_cpu = self._meter.ratio()
        return Window(
            stall=figures.supply / (figures.wait + figures.step),
            wait_seconds=figures.wait,
            make_seconds=figures.make,
            recent_make_seconds=self._recent,
            step_seconds=figures.step,
            busy=min(1.0, float(figures.make.mean()) * figures.rate / self._pool.size),
            host_cpu=None if math.isnan(host_cpu) else host_cpu,
            worker_cores=self._worker_cores(),
        )

    def _warm(self, records: Records) -> NDArray[np.bool_]:
        """Return which batches were not their worker's first: that one has imports to do."""
        workers, first = np.unique(records["worker"], return_index=True)
        new = [
            place for worker, place in zip(workers, first, strict=True) if worker not in self._known
        ]
        self._known.update(workers.tolist())
        self._known.intersection_update(self._pool.workers)  # another may get the number
        warm = np.ones(len(records), np.bool_)
        warm[new] = False
        return warm

    def _cpu_seconds(self) -> dict[int, float]:
        """Return what each worker that is there has used so far."""
        used = {worker: cpu_seconds(clock) for worker, clock in self._pool.clocks().items()}
        return {worker: seconds for worker, seconds in used.items() if seconds is not None}

    def _worker_cores(self) -> float | None:
        """Return what those workers used that were there all the window."""
        now = self._cpu_seconds()
        used = [now[worker] - before for worker, before in self._cpu.items() if worker in now]
        return max(0.0, sum(used)) / self.seconds if used else None


@dataclass(frozen=True)
class Figures:
    """Means a batch, in seconds, of some records.

    Attributes
    ----------
    make : float array, shape (batches,)
    step : float
        Without steps that were interrupted, by a validation perhaps.
    wait, supply : float
        Waited in all; and for a batch that was not made yet, or not its turn.
    rate : float
        Batches a second, had there been no interruption.
    """

    make: NDArray[np.float64]
    step: float
    wait: float
    supply: float
    rate: float

    @staticmethod
    def of(records: Records, warm: NDArray[np.bool_]) -> Figures | None:
        """Return the figures; None if no two batches followed each other, or none was `warm`.

        Records are in the order handed out, which is about that in which they were made.
        """
        steps = step_seconds(records)
        if not len(steps) or not warm.any():
            return None
        step = float(steps[steps <= LONG_STEP * np.median(steps)].mean())
        waits = (records["answered_ns"] - records["asked_ns"]) / 1e9
        supply = waits - records["upload_wait_ns"] / 1e9
        wait = float(waits.mean())
        return Figures(
            make=records["work_ns"][warm] / 1e9,
            step=step,
            wait=wait,
            supply=float(supply.mean()),
            rate=1 / max(wait + step, 1e-9),
        )
