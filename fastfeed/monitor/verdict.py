"""One line on whether training waits for its data, for what, and what would cure it.

Thresholds and where they come from
-----------------------------------
5 %, 20 % of the time   TensorFlow's profiler: below not input-bound, between moderately, above
                        highly (``op_stats_to_input_pipeline_analysis.cc``). PyTorch's TensorBoard
                        plugin warns from 5 % on too.
3 %, 70 %, 90 %         fastfeed's own: from 3 % on a wait is worth a longer queue if workers that
                        are busy for less than 70 % show that there is room. Workers that would be
                        busy for 90 % and more, if the loop never waited, are what is short.
20 batches              fewer are warm-up: compiling, caches, the first queue.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from fastfeed.monitor.journal import Records
from fastfeed.monitor.sizing import HEADROOM, Times, look_ahead, workers_needed
from fastfeed.monitor.summary import Summary, ratio
from fastfeed.monitor.words import count

Kind = Literal["unknown", "fed", "start-up", "workers", "tail", "generator", "upload", "copy"]

MOST_WORKERS, MOST_AHEAD = 128, 512
"""More than that is no advice: the source has to become faster, or its times more even."""
FEWEST_BATCHES = 20
MODERATELY, HIGHLY = 0.05, 0.20
WORTH_A_QUEUE = 0.03
IDLE, BUSY = 0.70, 0.90
UNORDERED_SPARE = 6
"""Batches ahead per loader beyond one a worker, where none waits for another one's turn."""


@dataclass(frozen=True)
class Verdict:
    """What a loop's times say; ``str()`` gives the line.

    Attributes
    ----------
    kind : str
        ``"fed"``: the loop hardly waits. ``"workers"``: they cannot make as much as is used.
        ``"tail"``: they can, but single batches come late. ``"generator"``: batches are there, but
        ``next()`` runs a slow generator first. ``"upload"``: the way to the device is too slow.
        ``"copy"``: as ``"workers"``, and most of the making is the copy into the slot.
        ``"start-up"``: only the first batches were waited for. ``"unknown"``: too few batches.
    text : str
        The line.
    workers_needed, ahead_needed : int
        That would do, as `workers` and `max_queue_size`; those there are, where others would not
        help or nothing is known.
    wait_ratio : float
        Share of the time of loop and step that the loop waited: production + order + upload.
    production_ratio, order_ratio, upload_ratio : float
        The same for waits in which nothing was finished; others were finished, but not the one
        whose turn it was; the batch was made, but not yet on the device.
    busy_ratio : float
        Share of the time that workers were making something.
    """

    kind: Kind
    text: str
    workers_needed: int
    ahead_needed: int
    wait_ratio: float
    production_ratio: float
    order_ratio: float
    upload_ratio: float
    busy_ratio: float

    def __str__(self) -> str:
        return self.text


def verdict(
    summary: Summary,
    workers: int,
    ahead: int,
    ordered: bool = True,
    startup_seconds: float = 0.0,
    copy_seconds: float = 0.0,
    undivided: bool = False,
) -> Verdict:
    """Judge a window of batches.

    Parameters
    ----------
    summary : Summary
        Of the window.
    workers, ahead : int
        The loader's workers (0: the calling thread) and its limit of batches ahead.
    ordered : bool
        Batches come in the order of their index.
    startup_seconds : float
        That the loader's first batches were waited for, if they are in the window: see
        `startup_wait`.
    copy_seconds : float
        That a copy of one batch's arrays takes, where it was measured.
    undivided : bool
        The source is one stream: more than one worker would have nothing to do.

    Returns
    -------
    Verdict
    """
    load = _load(summary, workers)
    needed, far = workers, ahead
    kind = _kind(summary, workers, load, startup_seconds)
    if kind == "workers" and copy_seconds > summary.make_median_seconds / 2:
        kind = "copy"
    made = _usual(summary.make_seconds, max(1, workers) if startup_seconds else 0)
    if kind not in ("unknown", "start-up", "upload", "generator"):
        needed = workers_needed(float(made.mean()), summary.step_mean_seconds)
    if kind in ("workers", "copy"):
        needed = max(needed, workers + 1)
    if kind in ("workers", "copy", "tail") and needed <= MOST_WORKERS:
        makers = max(workers, needed)
        enough = makers + UNORDERED_SPARE
        if ordered:
            enough = look_ahead(made, summary.step_mean_seconds, makers)
        far = max(ahead, enough)
    text = _SENTENCES[kind]
    if undivided and kind in ("workers", "copy"):
        needed, far = 1, ahead
        text = _one_maker if workers else _workers
    return Verdict(
        kind,
        text(summary, (workers, ahead), (needed, far)),
        needed,
        far,
        summary.wait_ratio,
        summary.production_ratio,
        summary.order_ratio,
        summary.upload_ratio,
        min(load * (1 - summary.wait_ratio), 1.0),
    )


def startup_wait(records: Records, batches: int, workers: int) -> float:
    """Return how long the loader's first batches were waited for, s: one a worker, which all begin
    at the same time. 0 if the records begin later.

    Parameters
    ----------
    records : array of RECORD, shape (n,)
        As `View.records` gives them.
    batches : int
        That the loader has handed out in all.
    workers : int
    """
    if len(records) < batches:
        return 0.0
    first = records[: max(1, workers)]
    return float((first["answered_ns"] - first["asked_ns"]).sum()) / 1e9


def slow_upload(found: Verdict, share: float) -> Verdict:
    """Return the verdict on a loop that does not wait itself: its steps do, on the device, where
    they wait for their batches for this share of the time.
    """
    text = f"the steps wait on the device, {percent(share)} of the time, for uploads: {SMALLER}"
    return replace(found, kind="upload", text=text)


def _usual(made: Times, first: int) -> Times:
    """Leave out the first batches, one a worker: those took its imports as well."""
    return made[first:] if len(made) > first else made


def _load(summary: Summary, workers: int) -> float:
    """Return how busy workers would be if the loop never waited; above 1 they cannot keep up.
    Pauses of the loop, such as validation, are not in it.
    """
    return ratio(summary.make_mean_seconds, max(1, workers) * summary.step_mean_seconds)


def _kind(summary: Summary, workers: int, load: float, startup_seconds: float) -> Kind:
    wait = summary.wait_ratio
    if summary.batches < FEWEST_BATCHES or not summary.step_mean_seconds > 0:
        return "unknown"
    if wait < WORTH_A_QUEUE:
        return "fed"
    waited = wait * summary.seconds - startup_seconds
    later = ratio(waited, summary.seconds - startup_seconds)
    if later < min(MODERATELY, wait / 2):
        return "start-up"
    if summary.upload_ratio > wait / 2:
        return "upload"
    if summary.generator_ratio * summary.seconds > waited / 2:
        return "generator" if wait >= MODERATELY else "fed"
    busy = load * (1 - wait)
    if workers == 0 or load > 1 / HEADROOM or (load >= BUSY and busy >= IDLE):
        return "workers" if wait >= MODERATELY else "fed"
    return "tail" if wait >= MODERATELY or busy < IDLE else "fed"


# -- sentences ------------------------------------------------------------------------------

SMALLER = "send uint8 and cast on the device (device_transform)"
Pair = tuple[int, int]
"""Workers and batches ahead: those there are, or those that would do."""


def _unknown(summary: Summary, now: Pair, needed: Pair) -> str:
    if summary.batches >= FEWEST_BATCHES:
        return "nothing to say yet: no epoch has had two batches"
    return f"nothing to say yet: {summary.batches} of the {FEWEST_BATCHES} batches that it takes"


def _fed(summary: Summary, now: Pair, needed: Pair) -> str:
    line = f"not input-bound: {percent(summary.wait_ratio)} of the time is waiting"
    enough, there = needed[0], now[0]
    return line + (f"; {enough} of the {there} workers would do" if enough < there else "")


def _start_up(summary: Summary, now: Pair, needed: Pair) -> str:
    return f"not input-bound: {percent(summary.wait_ratio)} is waiting, nearly all at the start"


def _upload(summary: Summary, now: Pair, needed: Pair) -> str:
    return f"{parts(summary)}; the way to the device is too slow: {SMALLER}"


def _workers(summary: Summary, now: Pair, needed: Pair) -> str:
    number, far = needed
    if number > MOST_WORKERS:
        return f"{parts(summary)}; the step is so short that no number of workers would do"
    by = "the calling thread makes them, " if not now[0] else ""
    queue = f" with max_queue_size={far}" if now[0] and now[1] < far <= MOST_AHEAD else ""
    return f"{parts(summary)}; {by}{count(number, 'worker')} would do{queue}"


def _one_maker(summary: Summary, now: Pair, needed: Pair) -> str:
    return (
        f"{parts(summary)}; a stream has one maker: divide the generator function (shard, "
        "num_shards), or leave its heavy part to the map of fastfeed.generator"
    )


def _copy(summary: Summary, now: Pair, needed: Pair) -> str:
    return f"{_workers(summary, now, needed)}, or a source with fill(): the making is mostly a copy"


def _tail(summary: Summary, now: Pair, needed: Pair) -> str:
    if not now[1] < needed[1] <= MOST_AHEAD:
        cure = "ordered=False would, or smaller items" if summary.order_ratio else "look for pauses"
        return f"{parts(summary)}; the workers keep up, a longer queue would not help: {cure}"
    more = f" and {needed[0]} workers" if needed[0] > now[0] else ""
    other = ", or ordered=False" if summary.order_ratio else ""
    cure = f"max_queue_size={needed[1]}{more} would do{other}"
    return f"{parts(summary)}; the queue is too short: {cure}"


def _generator(summary: Summary, now: Pair, needed: Pair) -> str:
    return (
        f"{parts(summary, summary.generator_ratio)}; batches are ready, but next() itself takes "
        "long: let the generator give lighter items, and do its work in map"
    )


_SENTENCES = {
    "unknown": _unknown,
    "fed": _fed,
    "start-up": _start_up,
    "upload": _upload,
    "workers": _workers,
    "copy": _copy,
    "tail": _tail,
    "generator": _generator,
}


def parts(summary: Summary, generator: float = 0.0) -> str:
    """Write ``input-bound 38 %: workers 29 %, order 6 %, upload 3 %``: shares of all time, of which
    the generator's is known only where it is the cause.
    """
    wait = summary.wait_ratio
    grade = "" if wait >= HIGHLY else "moderately " if wait >= MODERATELY else "hardly "
    causes = {
        "workers": summary.production_ratio - generator,
        "generator": generator,
        "order": summary.order_ratio,
        "upload": summary.upload_ratio,
    }
    named = [f"{name} {percent(ratio)}" for name, ratio in causes.items() if ratio >= 0.005]
    return f"{grade}input-bound {percent(wait)}: {', '.join(named)}"


def percent(ratio: float) -> str:
    """Write a ratio for people: ``38 %``, ``0.4 %``."""
    return f"{100 * ratio:.1f} %" if 0 < ratio < 0.0095 else f"{100 * ratio:.0f} %"
