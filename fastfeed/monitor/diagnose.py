"""`Loader.diagnose`: how much of a training loop is data, told by three interleaved runs.

quiet   the step with one batch from memory, while the workers have nothing to do
busy    the same, while the workers make one batch a step, which is dropped
real    the step with the loader's batches

The consumer of the busy run takes a batch before each step, outside of the measured time. A thread
that takes as fast as it can would be a second consumer, would hold the GIL, and would have the
workers make more than they make in the real run.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from fastfeed.copying import copyto
from fastfeed.errors import ArgumentError, FastFeedError, SourceError
from fastfeed.monitor.diagnosis import ROUNDS, Diagnosis, Floats, Run, figures
from fastfeed.monitor.journal import Records, View
from fastfeed.monitor.stats import Stats
from fastfeed.monitor.summary import summarise
from fastfeed.monitor.verdict import MODERATELY, slow_upload, verdict
from fastfeed.sources.base import Source
from fastfeed.sources.indexable import BatchSource
from fastfeed.sources.streams import OnePass
from fastfeed.structure import Tree, map_leaves

Step = Callable[[Any], object]

WARM_UP = 20
"""Steps before anything counts, besides a queue full of them: compiling, caches."""
FEWEST_STEPS = 4 * ROUNDS
TIMES = (
    "posted_ns",
    "started_ns",
    "made_ns",
    "upload_ns",
    "uploaded_ns",
    "asked_ns",
    "answered_ns",
)
"""Columns of a record that are points in time, not durations."""
LOOK_AGAIN_S = 0.001
STILL_S = 0.1
"""Tickets that no worker has touched for so long are not going to be made now."""


class Fed(Protocol):
    """What is diagnosed: a `Loader`."""

    def __iter__(self) -> Iterator[Any]: ...

    def stats(self) -> Stats:
        """Return the running totals."""


def diagnose(loader: Fed, step: Step, n: int, source: Source, looping: bool) -> Diagnosis:
    """Run a training step in three ways, in turn, and say what its data costs.

    It goes through as many epochs as it needs, so the shuffled epochs that follow are others than
    without it, and `Loader.stats` counts what it did.

    Parameters
    ----------
    loader : Loader
        Its `Loader.diagnose` calls this, and knows `source` and `looping`.
    step : callable
        Of one batch; it gets one of its own, so it may write into it. It must wait for its result
        (``jax.block_until_ready``, ``torch.cuda.synchronize``): what still runs when it returns is
        not measured.
    n : int
        Steps of each of the three, at least 20; before them, 20 and a queue full to warm up.
    source : Source
        What the loader feeds.
    looping : bool
        A loop over the loader is going on.

    Raises
    ------
    ArgumentError
        `step` is no function, `n` is too small, or the source is an iterator.
    FastFeedError
        A loop is going on.
    Exception
        What `step` or the source raises. The loader can be used as before.

    Examples
    --------
    >>> import numpy as np, fastfeed
    >>> with fastfeed.Loader([np.ones(9)] * 40) as loader:
    ...     found = loader.diagnose(lambda batch: batch.sum(), n=20)
    >>> found.steps
    20
    """
    check(step, n, source, looping)
    patient = Patient(loader, step)
    patient.settle(WARM_UP + loader.stats().ahead)
    runs = [patient.examine(-(-n // ROUNDS)) for _ in range(ROUNDS)]
    records = stitched([run.records for run in runs])
    summary = summarise(records)
    copies = type(source) is BatchSource  # others write batches where they stay
    copy_seconds = seconds_to_copy(int(records["bytes"].max())) if copies else 0.0
    stats = loader.stats()
    now = (stats.workers, stats.ahead, stats.view.ordered)
    judged = verdict(summary, *now, copy_seconds=copy_seconds, undivided=stats.undivided)
    found = figures(runs, summary, judged)
    lost = 1 - found.utilisation.value - found.utilisation.plus_minus
    if judged.kind == "fed" and lost > MODERATELY and upload_seconds(records) > found.quiet_seconds:
        return replace(found, verdict=slow_upload(judged, 1 - found.utilisation.value))
    return found


def check(step: Step, n: int, source: Source, looping: bool) -> None:
    """Refuse what cannot be diagnosed, as `diagnose` says."""
    if not callable(step):
        raise ArgumentError("step must be a function of one batch.", f"step={step!r}")
    if isinstance(n, bool) or not hasattr(n, "__index__") or n < FEWEST_STEPS:
        raise ArgumentError(f"n must be an integer from {FEWEST_STEPS} on.", f"n={n!r}")
    if isinstance(source, OnePass):
        raise ArgumentError(
            "diagnose() would use up the items of an iterator, which gives them once. Make a "
            "loader of the generator function itself (without calling it), or of an object with "
            "__len__ and __getitem__.",
            "an iterator",
        )
    if looping:
        raise FastFeedError(
            "A loop over this loader is going on, and diagnose() would end it, because it goes "
            "through epochs of its own. Call it before or after that loop."
        )


class Patient:
    """A loader and its step: three ways of running it.

    Attributes
    ----------
    settling : int
        Steps after a rest until the workers are out of step with each other again.
    """

    def __init__(self, loader: Fed, step: Step) -> None:
        stats = loader.stats()
        self.settling = stats.workers + 2
        self._loader = loader
        self._view: View = stats.view
        self._step = step
        self._pass = iter(loader)
        for _ in range(self._view.totals().ready):  # an idle loader's queue is full
            self._take()
        self._cached = map_leaves(copied, self._take())  # its slot is free again

    def settle(self, steps: int) -> None:
        """Run so many steps of the real loop, unmeasured."""
        for _ in range(steps):
            self._step(self._take())

    def examine(self, steps: int) -> Run:
        """Run a block of each kind. The real and the busy one leave the queue as they find it."""
        self.settle(self.settling)
        real, waits, records = self._real(steps)
        busy = self._busy(steps)
        ready = self._view.totals().ready
        await_rest(self._view)
        quiet = np.array([self._timed() for _ in range(steps)])
        for _ in range(self._view.totals().ready - ready):
            self._take()
        return Run(quiet, busy, real, waits, records)

    def _real(self, steps: int) -> tuple[Floats, Floats, Records]:
        times = np.empty((steps, 3), np.int64)
        for row in times:
            row[0] = time.perf_counter_ns()
            batch = self._take()
            row[1] = time.perf_counter_ns()
            self._step(batch)
            row[2] = time.perf_counter_ns()
        records = self._view.records()
        records = records[records["asked_ns"] >= times[0, 0]]
        waits, real = np.diff(times, axis=1).T / 1e9
        return real, waits, records

    def _busy(self, steps: int) -> Floats:
        seconds = np.empty(steps)
        for number in range(steps):
            self._take()
            seconds[number] = self._timed()
        return seconds

    def _timed(self) -> float:
        batch = map_leaves(copied, self._cached)  # of its own: a step may write into its batch
        start = time.perf_counter_ns()
        self._step(batch)
        return (time.perf_counter_ns() - start) / 1e9

    def _take(self) -> Tree:
        """Return the next batch, of the next epoch if this one is over."""
        try:
            return next(self._pass)
        except StopIteration:
            self._pass = iter(self._loader)
        try:
            return next(self._pass)
        except StopIteration:
            raise SourceError("The source gave no batch in a whole epoch.") from None


def copied(leaf: Any) -> Any:
    """Return a copy of an array of any framework; TensorFlow's, which nobody can change, as is."""
    copy = getattr(leaf, "clone", None) or getattr(leaf, "copy", None)
    return copy() if copy else leaf


def await_rest(view: View) -> None:
    """Wait until everything that was ordered is made. What nobody is making any more (its worker
    died, and is replaced when the loop next waits) is not waited for.
    """
    still_since = time.monotonic()
    while True:
        totals = view.totals()
        if totals.ready == totals.outstanding:
            return
        if any(each.making_since_ns and is_alive(each.pid) for each in view.workers()):
            still_since = time.monotonic()
        elif time.monotonic() > still_since + STILL_S:
            return
        time.sleep(LOOK_AGAIN_S)


def is_alive(pid: int) -> bool:
    """Tell whether there is such a process."""
    return os.path.exists(f"/proc/{pid}")


def stitched(blocks: list[Records]) -> Records:
    """Return records of separate blocks as one epoch, each begun a step after the one before."""
    for before, block in itertools.pairwise(blocks):
        step = int(np.median(block["asked_ns"][1:] - block["answered_ns"][:-1]))
        late = int(block["asked_ns"][0] - before["answered_ns"][-1]) - step
        for name in TIMES:
            block[name] = np.where(block[name], block[name] - late, 0)  # 0: did not happen
    records = np.concatenate(blocks)
    records["epoch"] = 0  # nothing but steps happened between the epochs of these runs
    return records


def seconds_to_copy(n_bytes: int) -> float:
    """Return what a copy of so many bytes into warm memory takes; the better of two."""
    source, out = np.ones(n_bytes, np.uint8), np.zeros(n_bytes, np.uint8)
    marks = [time.perf_counter()]
    for _ in range(2):
        copyto(out, source)
        marks.append(time.perf_counter())
    return float(np.diff(marks).min())


def upload_seconds(records: Records) -> float:
    """Return what the upload of a batch takes, the median, s; 0 without a device.

    On a GPU it is not the loop that waits for an upload, but what it has the GPU do next.
    """
    known = records[records["uploaded_ns"] > 0]
    if not len(known):
        return 0.0
    return float(np.median(known["uploaded_ns"] - known["upload_ns"])) / 1e9
