"""What is shown of a loader, computed from looks at it. Units are in the names."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastfeed._core import DATA
from fastfeed.monitor.journal import Records, WorkerNow
from fastfeed.monitor.summary import Summary, summarise
from fastfeed.monitor.verdict import FEWEST_BATCHES, startup_wait, verdict
from fastfeed.top.look import WINDOW_NS, History, Look

SECOND = 1_000_000_000


@dataclass(frozen=True)
class Worker:
    """What a worker does.

    Attributes
    ----------
    worker, pid : int
        Its number; its process, which with threads is the job's own.
    state : {"making", "idle", "gone", "absent"}
        "gone": the process has ended just now. "absent": it has not asked for work yet, has ended
        and was not replaced (that is done when the loop waits), or was sent home
        (``workers="auto"``); then there is no `pid` either.
    index, epoch : int or None
        The item that is being made.
    making_seconds : float or None
        For how long.
    busy_ratio : float or None
        Share of the last seconds in which it was making something; None after a single look.
    batches_per_second : float or None
        Batches that it finished.
    batches : int
        Since the loader was made.
    rss_bytes, private_bytes : int or None
        Resident memory with the shared slots, and the process's own. None for threads, and for a
        job in a container that is looked at from outside.
    grows_bytes_per_second : float
        Of its own memory, where that rises steadily; else 0.
    """

    worker: int
    pid: int
    state: str
    index: int | None
    epoch: int | None
    making_seconds: float | None
    busy_ratio: float | None
    batches_per_second: float | None
    batches: int
    rss_bytes: int | None
    private_bytes: int | None
    grows_bytes_per_second: float


@dataclass(frozen=True)
class Loader:
    """What a loader does.

    Attributes
    ----------
    name : str
        What it feeds.
    running_seconds, window_seconds : float
        Since it was made; and the last seconds, over which rates, shares and medians are taken.
    batches, epoch : int
        Handed out since it was made; the pass that it is in, from 0.
    first_batch_seconds : float or None
        From the start to the first batch.
    batches_per_second, bytes_per_second : float
        Handed out.
    waiting_ratio : float
        Share of the last seconds that the loop spent waiting for a batch, with a wait that still
        lasts. The three that follow are its parts.
    production_ratio, order_ratio, upload_ratio : float
        Nothing was finished; something was, but not the next batch; it was made, but not yet on
        the GPU.
    waiting_seconds : float or None
        How long the loop has been waiting now; None if it does not wait.
    step_seconds, make_seconds : float or None
        Medians: a step of the loop without its wait; the making of a batch.
    ready, outstanding, ahead : int
        Batches finished and not taken; posted and not taken; and at most so many.
    replaced : int
        Worker processes that were replaced while this was watched.
    workers : list of Worker
    verdict : str
        One line.
    """

    name: str
    running_seconds: float
    window_seconds: float
    batches: int
    epoch: int
    first_batch_seconds: float | None
    batches_per_second: float
    bytes_per_second: float
    waiting_ratio: float
    production_ratio: float
    order_ratio: float
    upload_ratio: float
    waiting_seconds: float | None
    step_seconds: float | None
    make_seconds: float | None
    ready: int
    outstanding: int
    ahead: int
    replaced: int
    workers: list[Worker]
    verdict: str


def loader(history: History, records: Records) -> Loader:
    """Return what is shown of a loader.

    Parameters
    ----------
    history : History
        Its looks, the newest among them.
    records : array of RECORD
        Of the batches handed out, oldest first.
    """
    look = history.newest
    totals = look.totals
    start_ns, recent = last_seconds(look, records)
    seconds = (look.now_ns - start_ns) / SECOND
    summary = summarise(recent)
    batches = recent[recent["kind"] == DATA]
    waiting_ns = look.now_ns - totals.waiting_since_ns if totals.waiting_since_ns else None
    return Loader(
        name=look.name,
        running_seconds=(look.now_ns - totals.started_ns) / SECOND,
        window_seconds=seconds,
        batches=totals.batches,
        epoch=totals.epoch,
        first_batch_seconds=totals.first_batch_ns / SECOND if totals.first_batch_ns else None,
        batches_per_second=len(batches) / seconds,
        bytes_per_second=float(batches["bytes"].sum()) / seconds,
        **waits(look, recent, start_ns),
        waiting_seconds=None if waiting_ns is None else waiting_ns / SECOND,
        step_seconds=known(summary.step_median_seconds),
        make_seconds=known(summary.make_median_seconds),
        ready=totals.ready,
        outstanding=totals.outstanding,
        ahead=totals.ahead,
        replaced=history.replaced,
        workers=[_worker(each, history) for each in look.workers],
        verdict=_verdict(look, records, summary),
    )


def _verdict(look: Look, records: Records, recent: Summary) -> str:
    """Judge the last seconds; where batches are rare, as many as it takes to say something."""
    judged = recent
    if recent.batches < FEWEST_BATCHES:
        judged = summarise(records[-FEWEST_BATCHES:])
    workers = 0 if look.inline else sum(worker.pid > 0 for worker in look.workers)
    startup = startup_wait(records, look.totals.batches, workers)
    in_it = startup if judged.batches == look.totals.batches else 0.0
    return str(verdict(judged, workers, look.totals.ahead, look.ordered, in_it))


def last_seconds(look: Look, records: Records) -> tuple[int, Records]:
    """Return when the last seconds begin, and the records of the batches handed out in them.

    They begin later where the loader is younger, or where the journal, which keeps a fixed number
    of records, does not reach back so far.
    """
    start_ns = max(look.now_ns - WINDOW_NS, look.totals.started_ns)
    if 0 < len(records) < look.totals.batches and records["answered_ns"][0] > start_ns:
        start_ns, records = int(records["answered_ns"][0]), records[1:]
    start_ns = min(start_ns, look.now_ns - 1)  # rates divide by what has passed since
    return start_ns, records[records["answered_ns"] > start_ns]


def waits(look: Look, recent: Records, start_ns: int) -> dict[str, float]:
    """Return the shares of the last seconds that went into waiting, by their causes."""
    lasted = (recent["answered_ns"] - recent["asked_ns"]).astype(float)
    # A wait that began before counts in part, and with it its causes.
    within = recent["answered_ns"] - np.maximum(recent["asked_ns"], start_ns)
    part = np.divide(within, lasted, out=np.zeros_like(lasted), where=lasted > 0)
    wait = float(within.sum())
    order, upload = (float((recent[f"{cause}_wait_ns"] * part).sum()) for cause in CAUSES)
    if look.totals.waiting_since_ns:
        still = look.now_ns - max(look.totals.waiting_since_ns, start_ns)
        wait += still
        order += still if look.totals.ready else 0
    seconds_ns = look.now_ns - start_ns
    return {
        "waiting_ratio": wait / seconds_ns,
        "production_ratio": max(0.0, wait - order - upload) / seconds_ns,
        "order_ratio": order / seconds_ns,
        "upload_ratio": upload / seconds_ns,
    }


CAUSES = ("order", "upload")
"""Causes of waits that records name; what is left is production."""


def known(seconds: float) -> float | None:
    """Return a duration, or None where there was nothing to measure."""
    return float(seconds) if np.isfinite(seconds) and seconds > 0 else None


def _worker(worker: WorkerNow, history: History) -> Worker:
    look = history.newest
    state = _state(worker, look)
    is_making = state == "making"
    busy, rate = _rates(worker, history)
    memory = (look.memory or {}).get(worker.pid) if worker.pid != look.pid else None
    return Worker(
        worker=worker.worker,
        pid=worker.pid,
        state=state,
        index=worker.index if is_making else None,
        epoch=worker.epoch if is_making else None,
        making_seconds=(look.now_ns - worker.making_since_ns) / SECOND if is_making else None,
        busy_ratio=busy,
        batches_per_second=rate,
        batches=worker.batches,
        rss_bytes=memory.rss if memory else None,
        private_bytes=memory.private if memory else None,
        grows_bytes_per_second=history.grows(worker.pid) if memory else 0.0,
    )


def _state(worker: WorkerNow, look: Look) -> str:
    if not worker.pid:
        return "absent"
    if look.memory is not None and worker.pid not in look.memory:
        return "gone"
    return "making" if worker.making_since_ns else "idle"


def _rates(worker: WorkerNow, history: History) -> tuple[float | None, float | None]:
    """Return a worker's busy share and batches a second since it was first seen in the window."""
    before = history.before(worker)
    if before is None:
        return None, None
    then_ns, earlier = before
    now_ns = history.newest.now_ns
    busy_ns = _busy_ns(worker, now_ns) - _busy_ns(earlier, then_ns)
    passed_ns = now_ns - then_ns
    return (
        min(1.0, max(0.0, busy_ns / passed_ns)),
        (worker.batches - earlier.batches) / (passed_ns / SECOND),
    )


def _busy_ns(worker: WorkerNow, now_ns: int) -> int:
    """Return how long it has been busy, with what it is making."""
    still = now_ns - worker.making_since_ns if worker.making_since_ns else 0
    return worker.busy_ns + still
