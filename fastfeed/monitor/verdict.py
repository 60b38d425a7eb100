"""One line on whether training waits for its data, for what, and what would cure it.

Thresholds and where they come from
-----------------------------------
5 %, 20 % of the time   TensorFlow's profiler: below not input-bound, between moderately, above
                        highly (``op_stats_to_input_pipeline_analysis.cc``). PyTorch's TensorBoard
                        plugin warns from 5 % on too.
3 %, 70 %, 90 %         fastfeed's own: from 3 % on a wait is worth a longer queue if workers that
                        are busy for less than 70 % show that there is room; from 90 % on, they are
                        what is short.
20 batches              fewer are warm-up: compiling, caches, the first queue.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from fastfeed._core import MAX_WORKERS
from fastfeed.monitor.sizing import look_ahead, workers_needed

if TYPE_CHECKING:
    from fastfeed.monitor.summary import Summary

Kind = Literal["unknown", "fed", "start-up", "workers", "tail", "upload", "copy"]

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
        ``"tail"``: they can, but single batches come late. ``"upload"``: the way to the device is
        too slow. ``"copy"``: as ``"workers"``, and most of the making is the copy into the slot.
        ``"start-up"``: only the first batch was waited for. ``"unknown"``: too few batches.
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
        That the loader's first batch was waited for, if it is in the window.
    copy_seconds : float
        That a copy of one batch's arrays takes, where it was measured.

    Returns
    -------
    Verdict
    """
    busy = min(1.0, summary.make_mean_seconds * summary.batches_per_second / max(1, workers))
    needed, far = workers, ahead
    kind = _kind(summary, workers, busy, startup_seconds)
    if kind == "workers" and copy_seconds > summary.make_median_seconds / 2:
        kind = "copy"
    if kind not in ("unknown", "start-up", "upload"):
        needed = workers_needed(summary.make_mean_seconds, summary.step_mean_seconds)
    if kind in ("workers", "copy"):
        needed = max(needed, workers + 1)
    if kind in ("workers", "copy", "tail") and needed <= MAX_WORKERS:
        far = max(ahead, _ahead_needed(summary, max(workers, needed), ordered))
    return Verdict(
        kind,
        _SENTENCES[kind](summary, (workers, ahead), (needed, far)),
        needed,
        far,
        summary.wait_ratio,
        summary.production_ratio,
        summary.order_ratio,
        summary.upload_ratio,
        busy,
    )


def _kind(summary: Summary, workers: int, busy: float, startup_seconds: float) -> Kind:
    """Choose the cause; `busy` is the share of the time that workers make something."""
    wait = summary.wait_ratio
    if summary.batches < FEWEST_BATCHES or summary.step_mean_seconds <= 0:
        return "unknown"
    if wait < WORTH_A_QUEUE:
        return "fed"
    rest = wait * summary.seconds - startup_seconds
    if rest < MODERATELY * (summary.seconds - startup_seconds) and wait >= MODERATELY:
        return "start-up"
    if summary.upload_ratio > wait / 2:
        return "upload"
    # How busy they would be if the loop never waited: above BUSY they cannot keep up.
    load = busy / max(1 - wait, 1e-9)
    falls_short = workers == 0 or busy >= BUSY or (busy >= IDLE and load >= BUSY)
    if wait < MODERATELY and (falls_short or busy >= IDLE):
        return "fed"
    return "workers" if falls_short else "tail"


def _ahead_needed(summary: Summary, workers: int, ordered: bool) -> int:
    if not ordered:
        return workers + UNORDERED_SPARE
    return look_ahead(summary.make_seconds, summary.step_mean_seconds, workers)


# -- sentences ------------------------------------------------------------------------------

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
    return f"not input-bound: {percent(summary.wait_ratio)} is waiting, all for the first batch"


def _upload(summary: Summary, now: Pair, needed: Pair) -> str:
    cure = "send uint8 and cast on the device (device_transform)"
    return f"{parts(summary)}; the way to the device is too slow: {cure}"


def _workers(summary: Summary, now: Pair, needed: Pair) -> str:
    count, far = needed
    if count > MAX_WORKERS:
        return f"{parts(summary)}; the step is so short that no number of workers would do"
    by = "the calling thread makes them, " if not now[0] else ""
    queue = f" with max_queue_size={far}" if far > now[1] and now[0] else ""
    return f"{parts(summary)}; {by}{plural(count, 'worker')} would do{queue}"


def _copy(summary: Summary, now: Pair, needed: Pair) -> str:
    return f"{_workers(summary, now, needed)}, or a source with fill(): the making is mostly a copy"


def _tail(summary: Summary, now: Pair, needed: Pair) -> str:
    if needed[1] <= now[1]:
        cure = "ordered=False would, or smaller items" if summary.order_ratio else "look for pauses"
        return f"{parts(summary)}; the workers keep up, a longer queue would not help: {cure}"
    more = f" and {needed[0]} workers" if needed[0] > now[0] else ""
    other = ", or ordered=False" if summary.order_ratio else ""
    return f"{parts(summary)}; late batches: max_queue_size={needed[1]}{more} would do{other}"


_SENTENCES = {
    "unknown": _unknown,
    "fed": _fed,
    "start-up": _start_up,
    "upload": _upload,
    "workers": _workers,
    "copy": _copy,
    "tail": _tail,
}


def parts(summary: Summary) -> str:
    """Write ``input-bound 38 %: workers 29 %, order 6 %, upload 3 %``: shares of all time."""
    wait = summary.wait_ratio
    grade = "" if wait >= HIGHLY else "moderately " if wait >= MODERATELY else "hardly "
    causes = {
        "workers": summary.production_ratio,
        "order": summary.order_ratio,
        "upload": summary.upload_ratio,
    }
    named = [f"{name} {percent(ratio)}" for name, ratio in causes.items() if ratio >= 0.005]
    return f"{grade}input-bound {percent(wait)}: {', '.join(named)}"


def percent(ratio: float) -> str:
    """Write a ratio for people: ``38 %``, ``0.4 %``."""
    return f"{100 * ratio:.1f} %" if 0 < ratio < 0.0095 else f"{100 * ratio:.0f} %"


def plural(count: int, noun: str) -> str:
    """Write a count and its noun."""
    return f"{count} {noun}" + ("" if count == 1 else "s")
