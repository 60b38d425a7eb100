"""The report of ``fastfeed tune``: everything that was measured, on one page in one file."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from fastfeed.errors import gib
from fastfeed.pictures import style
from fastfeed.pictures.page import Page
from fastfeed.pictures.timeline import lanes_of
from fastfeed.tuning.picture import PANELS, compared_workers, draw_lanes, stall_curve
from fastfeed.tuning.result import Ended, Interval, Point, TuneResult

PANEL = 4.2
MOST_INCHES = 10.0
UNKNOWN = "not known"
RATES = (
    *("workers", "batches/s", "95 % interval", "MB/s", "CPU", "memory", "first batch"),
    *("batches", "in"),
)
TIMES = ("workers", "mean", "median", "95 % within", "longest", "batches")


def write_report(result: TuneResult, path: str | os.PathLike[str], command: str = "") -> None:
    """Write the report to a file, which needs nothing else to be read.

    Parameters
    ----------
    result : TuneResult
        Also one that ended early.
    path : path
        Of the file, usually ``tune.html``.
    command : str
        What was run, to be run again.

    Raises
    ------
    LibraryMissing
        matplotlib is not installed.
    NotSaved
        The file cannot be written.
    """
    report(result, command).save(path)


def report(result: TuneResult, command: str = "") -> Page:
    """Return the report; see `write_report`."""
    page = Page(f"fastfeed tune: {result.source}")
    _add_answer(page, result)
    _add_pictures(page, result)
    page.heading("All figures")
    _add_points(page, result)
    _add_blocks(page, result)
    _add_stalls(page, result)
    page.heading("Where, and how to do it again")
    page.code(command or f"fastfeed tune {result.source}")
    page.pairs("Machine", _flat(result.machine))
    page.pairs("Versions", _flat(result.versions))
    return page


def _add_answer(page: Page, result: TuneResult) -> None:
    page.text(result.verdict, "lead")
    page.code(result.arguments)
    if result.ended != Ended.DONE:
        why = f": {result.error}" if result.error else "."
        page.text(f"This ended early ({result.ended}){why}", "warning")
    for warning in result.warnings:
        page.text(warning, "warning")
    page.pairs("The answer", _answer(result))


def _answer(result: TuneResult) -> Iterator[tuple[str, str]]:
    step = result.step
    yield "workers", str(result.workers)
    if result.needed_workers is not None:
        yield "workers that would keep the step fed", str(result.needed_workers)
    yield "max_queue_size", f"{result.max_queue_size} (from: {result.bound})"
    yield "stall, predicted", _percent(result.predicted_stall)
    yield "stall, measured", _percent(result.measured_stall)
    if step:
        times = (
            f"{style.duration(step.median)} in the median, 95 % within {style.duration(step.p95)}"
        )
        asleep = " asleep" if step.how == "sleep" else ""
        yield "step alone", f"{times}; {len(step.seconds)} steps{asleep}"
    elif result.step_seconds:
        yield "time that a batch takes to come", style.duration(result.step_seconds)
    if result.slot_bytes:
        slots = gib(result.slot_bytes * result.max_queue_size)
        yield "memory", f"{gib(result.slot_bytes)} a batch, {slots} for those ahead"
    yield "memory allowed for slots", gib(result.memory_bytes)
    yield "samples a batch", str(result.batch_size or "the source makes batches")
    yield "workers are", "threads" if result.threads else "processes"
    yield "training processes on the machine", str(result.ranks)
    yield "time used", f"{result.seconds:.1f} s of {result.budget_seconds:.1f} s"
    yield "when", result.started or UNKNOWN


def _add_pictures(page: Page, result: TuneResult) -> None:
    page.heading("Pictures")
    for caption, draw in PANELS.items():
        lanes = sum(lane.height for lane in lanes_of(result.timeline)) if draw is draw_lanes else 0
        picture = style.figure(min(max(PANEL, 1.5 + 0.25 * lanes), MOST_INCHES))
        axes = picture.subplots()
        draw(axes, result)
        page.picture(picture, axes.get_title(loc="left"), caption)


def _add_points(page: Page, result: TuneResult) -> None:
    points = sorted(result.points, key=lambda point: point.workers)
    page.table(
        "What so many workers make, when nobody keeps them waiting", RATES, map(_rate, points)
    )
    timed = (point for point in points if point.make_seconds.size)
    page.table("How long one worker takes to make a batch", TIMES, map(_making, timed))


def _rate(point: Point) -> tuple[str, ...]:
    return (
        str(point.workers),
        style.number(point.batches_per_second.mean),
        _interval(point.batches_per_second),
        style.number(point.bytes_per_second / 1e6),
        _percent(point.cpu_ratio, 0),
        gib(point.memory_bytes),
        style.duration(point.first_batch_seconds),
        str(point.batches),
        style.duration(point.seconds),
    )


def _making(point: Point) -> tuple[str, ...]:
    quantiles = np.quantile(point.make_seconds, (0.5, 0.95, 1.0))
    times = map(style.duration, (point.make_mean_seconds, *quantiles.tolist()))
    return str(point.workers), *times, str(point.make_seconds.size)


def _interval(interval: Interval) -> str:
    if not (math.isfinite(interval.low) and math.isfinite(interval.high)):
        return "too few to tell"
    return f"{style.number(interval.low)} to {style.number(interval.high)}"


def _add_blocks(page: Page, result: TuneResult) -> None:
    rounds = list(dict.fromkeys(block.round for block in result.blocks))
    rows = [
        (
            str(rounds.index(block.round) + 1),
            str(block.workers), str(block.ahead), str(block.batches),
            style.duration(block.seconds_per_batch), _percent(block.stall),
        )
        for block in result.blocks
    ]  # fmt: skip
    head = ("round", "workers", "max_queue_size", "steps", "time a step", "stall")
    page.table("Workers and step together, one block after the other", head, rows)


def _add_stalls(page: Page, result: TuneResult) -> None:
    found = {workers: stall_curve(result, workers) for workers in compared_workers(result)}
    curves = {workers: curve for workers, curve in found.items() if curve}
    lengths = sorted({ahead for curve in curves.values() for ahead in curve})
    head = ("max_queue_size", *(f"workers={workers}" for workers in curves))
    rows = ([str(a), *(_percent(curve.get(a)) for curve in curves.values())] for a in lengths)
    page.table("Stall, predicted from the times of batches and step", head, rows)


def _percent(ratio: float | None, digits: int = 1) -> str:
    if ratio is None or not math.isfinite(ratio):
        return UNKNOWN
    return f"{100 * ratio:.{digits}f} %"


def _flat(found: Mapping[str, Any], of: str = "") -> Iterator[tuple[str, str]]:
    """Yield names and values; those of mappings inside one by one."""
    for name, value in found.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{of}{name}: ")
        else:
            yield f"{of}{name}", str(value)
