"""What the records of some batches say, in figures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastfeed._core import DATA
from fastfeed.monitor.journal import Records

READY_NS = 50_000
"""Who waited no longer has found the batch ready. tf.data's profiler has the same limit
(tensorflow/core/profiler, "GetNext" is slow above 50 us)."""
LONG_STEP = 4.0
"""Steps longer than so many medians were interrupted (validation, a checkpoint)."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Summary:
    """Figures over a window of batches. All times are s, all ratios 0 to 1; NaN: not known.

    Attributes
    ----------
    batches : int
        In the window.
    seconds : float
        From the first request to the last answer.
    wait_ratio : float
        Waited / (waited + steps), the share of time that the consumer had nothing to do.
    production_ratio, order_ratio, upload_ratio : float
        Parts of `wait_ratio`: nothing was finished; something was, but not the next batch; it was
        finished, but not on the GPU.
    generator_ratio : float
        Part of `production_ratio`: the batch had been made before it was asked for, and came late
        all the same. Only what ``next()`` does itself can have held it up: the light generator of
        `fastfeed.generator`, unless the process had no processor.
    make_seconds : array of float64, shape (n,)
        What each batch took its worker.
    make_mean_seconds, make_median_seconds, make_p95_seconds : float
        Of those.
    step_median_seconds, step_mean_seconds : float
        The consumer's own time a batch, without interruptions.
    batches_per_second, bytes_per_second : float
        Handed out.
    workers : int
        That have made batches of this window.
    workers_busy_ratio : float
        Time that they made batches, of the time that there was.
    ready_ratio : float
        Batches that were ready when they were asked for.
    """

    batches: int
    seconds: float
    wait_ratio: float
    production_ratio: float
    order_ratio: float
    upload_ratio: float
    generator_ratio: float
    make_seconds: Floats
    make_mean_seconds: float
    make_median_seconds: float
    make_p95_seconds: float
    step_median_seconds: float
    step_mean_seconds: float
    batches_per_second: float
    bytes_per_second: float
    workers: int
    workers_busy_ratio: float
    ready_ratio: float


def summarise(records: Records) -> Summary:
    """Return the figures of some records, in the order in which they were handed out.

    Parameters
    ----------
    records : array of RECORD, shape (n,)
        Errors among them are left out.
    """
    records = records[records["kind"] == DATA]
    make = records["work_ns"] / 1e9
    steps = step_seconds(records)
    wait, order, upload = waits(records)
    total = wait.sum() + steps.sum()
    even = steps[steps <= LONG_STEP * np.median(steps)] if len(steps) else steps
    seconds = span(records["asked_ns"], records["answered_ns"])
    workers = len(np.unique(records["worker"]))
    return Summary(
        batches=len(records),
        seconds=seconds,
        wait_ratio=ratio(wait.sum(), total),
        production_ratio=ratio((wait - order - upload).sum(), total),
        order_ratio=ratio(order.sum(), total),
        upload_ratio=ratio(upload.sum(), total),
        generator_ratio=ratio(held_up(records, wait - order - upload).sum(), total),
        make_seconds=make,
        make_mean_seconds=float(make.mean()) if len(make) else np.nan,
        make_median_seconds=percentile(make, 50),
        make_p95_seconds=percentile(make, 95),
        step_median_seconds=percentile(even, 50),
        step_mean_seconds=float(even.mean()) if len(even) else np.nan,
        batches_per_second=ratio(len(records), seconds),
        bytes_per_second=ratio(float(records["bytes"].sum()), seconds),
        workers=workers,
        workers_busy_ratio=ratio(
            make.sum(), workers * span(records["started_ns"], records["made_ns"])
        ),
        ready_ratio=ratio(int((wait * 1e9 < READY_NS).sum()), len(records)),
    )


def step_seconds(records: Records) -> Floats:
    """Return the consumer's own time, s, after each batch whose follower is of the same epoch."""
    own = (records["asked_ns"][1:] - records["answered_ns"][:-1]) / 1e9
    same = records["epoch"][1:] == records["epoch"][:-1]
    return np.asarray(own[same], dtype=np.float64)


def waits(records: Records) -> tuple[Floats, Floats, Floats]:
    """Return what was waited for each batch, s: in all, for order, for the upload."""
    wait = (records["answered_ns"] - records["asked_ns"]) / 1e9
    return wait, records["order_wait_ns"] / 1e9, records["upload_wait_ns"] / 1e9


def held_up(records: Records, wait: Floats) -> Floats:
    """Return the waits of those batches that had been made before they were asked for, s."""
    was_there = (records["made_ns"] <= records["asked_ns"]) & (wait * 1e9 >= READY_NS)
    return np.where(was_there, wait, 0.0)


def span(begin: npt.NDArray[np.int64], end: npt.NDArray[np.int64]) -> float:
    """Return the seconds from the first beginning to the last end."""
    return float(end.max() - begin.min()) / 1e9 if len(end) else 0.0


def ratio(part: float, whole: float) -> float:
    """Return the one over the other; NaN if there is nothing to compare with."""
    return float(part / whole) if whole > 0 else np.nan


def percentile(values: Floats, percent: float) -> float:
    """Return a percentile; NaN of nothing."""
    return float(np.percentile(values, percent)) if len(values) else np.nan
