"""What a result means, in one line."""

from __future__ import annotations

import math

from fastfeed.monitor.summary import READY_NS
from fastfeed.monitor.words import duration
from fastfeed.tuning.ladder import BUSY, scales
from fastfeed.tuning.result import Point, TuneResult

READY_SECONDS = READY_NS / 1e9
FED = 0.05
"""Waiting below this share is no concern: TensorFlow's profiler has the same limit."""


def count(number: int) -> str:
    """Write a number of workers."""
    if number == 0:
        return "the calling thread"
    return f"{number} worker" if number == 1 else f"{number} workers"


def rate(value: float) -> str:
    """Write a rate with four digits, and never as a power of ten: ``"85.57"``, ``"12,541"``."""
    return f"{value:,.0f}" if value >= 999.5 else f"{value:.4g}"


def percent(ratio: float) -> str:
    """Write a share: ``"1.3 %"``."""
    return f"{100 * ratio:.1f} %"


def verdict(result: TuneResult, flat: bool) -> str:
    """Return what is to be expected of the answer, and why it is not better.

    Parameters
    ----------
    result : TuneResult
        Everything but this line.
    flat : bool
        Other numbers of workers were as good.
    """
    point = result.point
    if point is None:
        return _nothing(result)
    if result.step is None:
        return _without_step(result, point)
    stall = result.measured_stall if result.measured_stall is not None else result.predicted_stall
    if result.workers == 0:
        return _inline(point, stall)
    if stall is None or stall < FED or _wait_seconds(result, stall) < READY_SECONDS:
        return _fed(result, stall, flat)
    if point.batches_per_second.mean * result.step.median < 1:
        return _input_bound(result, point, stall)
    return _late(result, stall)


def _wait_seconds(result: TuneResult, stall: float) -> float:
    """Return what a batch is waited for; next to nothing is what handing it over takes."""
    assert result.step is not None
    return result.step.median * stall / max(1e-9, 1 - stall)


def _nothing(result: TuneResult) -> str:
    reason = "" if result.error else f" in {result.budget_seconds:g} s"
    return (
        f"No batch was finished{reason}, so nothing is measured; workers={result.workers} is only "
        "a number of cores. Look at the source, or give it more time (--budget)."
    )


def _inline(point: Point, stall: float | None) -> str:
    making = "" if stall is None else f" That is {percent(stall)} of the time."
    return (
        "No workers: they would not be faster, because the calling thread makes a batch in "
        f"{duration(point.make_mean_seconds)}.{making}"
    )


def _without_step(result: TuneResult, point: Point) -> str:
    if result.workers == 0:
        return _inline(point, None)
    best = max(each.batches_per_second.mean for each in result.points)
    return (
        f"{count(result.workers)} made {rate(point.batches_per_second.mean)} batches/s; the most "
        f"that any number made is {rate(best)}. Give the step, or its length, to learn whether "
        "that is enough."
    )


def _fed(result: TuneResult, stall: float | None, flat: bool) -> str:
    assert result.step is not None
    waits = ""
    if stall is not None:
        waits = f"; {percent(stall)} of the time is waiting"
        if stall >= FED:
            waits += f", {duration(_wait_seconds(result, stall))} a batch to hand it over"
    others = " Flat: more workers were not surely better, so the fewest." if flat else ""
    feed = "feeds" if result.workers < 2 else "feed"
    return (
        f"Fed: {count(result.workers)} {feed} the step of {duration(result.step.median)}{waits}."
        f"{others}"
    )


def _input_bound(result: TuneResult, point: Point, stall: float) -> str:
    assert result.step is not None
    share = point.batches_per_second.mean * result.step.median
    makes = "makes" if result.workers < 2 else "make"
    made = f"{count(result.workers)} {makes} {share:.2f} of what the step would take"
    cure = _cure(result, result.needed_workers or result.workers)
    return f"Input-bound: {percent(stall)} of the time is waiting; {made}. {cure}"


def _cure(result: TuneResult, needed: int) -> str:
    """Say what more workers need, from how the rate grew with them."""
    if result.one_stream:
        return f"The source is one stream; divided among {needed} workers it would do."
    if result.bound == "memory" and result.max_queue_size <= result.workers:
        return (
            f"Memory for no more than {result.max_queue_size} batches ahead is what keeps workers "
            "from working: give it more (--memory), or make batches smaller."
        )
    if scales(result.points):
        return f"It grew with every worker that was tried: {needed} would do."
    if max(point.cpu_ratio for point in result.points) > BUSY:
        more = math.ceil(needed - usable(result))
        cores = f"{more} cores more" if more > 0 else "but the step or other programs use them too"
        return f"The cores are busy: {needed} workers with a core each would do, {cores}."
    return (
        "More workers made no more although cores were idle: they wait for the same thing (a disk, "
        "a lock, a server)."
    )


def usable(result: TuneResult) -> float:
    """Return how many cores a rank has."""
    return float(result.machine["usable_cores"]) / result.ranks


def _late(result: TuneResult, stall: float) -> str:
    if result.bound == "memory":
        return (
            f"Tail-bound: {percent(stall)} of the time is waiting for single slow batches, and "
            "memory allows no longer queue. More --memory, ordered=False or smaller batches."
        )
    predicted = result.predicted_stall
    if predicted is not None and math.isfinite(predicted) and predicted < FED:
        return (
            f"Waiting: {percent(stall)} of the time, where the times alone predict "
            f"{percent(predicted)}: workers and step compete for cores, memory or a disk."
        )
    return (
        f"Tail-bound: {percent(stall)} of the time is waiting for single slow batches. "
        "ordered=False lets others overtake them; so do smaller batches."
    )
