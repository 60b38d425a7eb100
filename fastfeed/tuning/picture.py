"""The four panels of ``fastfeed tune``: rate, stall, making of batches, and the last seconds."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from fastfeed.monitor.sizing import predicted_stall
from fastfeed.pictures import style
from fastfeed.pictures.spans import seconds
from fastfeed.pictures.stats import draw_make_times
from fastfeed.pictures.timeline import SECONDS, draw_timeline, lanes_of
from fastfeed.tuning.result import Block, Point, TuneResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 11.0
ROW = 4.4
CURVE = 20
"""Lengths of the queue for which a stall is predicted: each replays a loader."""
BESIDE = 1.05
"""Between marks of different numbers of workers, which would cover each other."""
LEAST_TOP = 5.0
"""Percent: less is noise, and is not to fill the panel."""
FAR = 3.0
"""Times the longest making: a mark that is further right would squeeze the histogram."""

Draw = Callable[["Axes", TuneResult], None]


def tuning_picture(result: TuneResult) -> Figure:
    """Draw what was measured and what follows from it, on four panels.

    Parameters
    ----------
    result : TuneResult
        Also one that ended early: panels for which nothing was measured say so.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    LibraryMissing
        matplotlib is not installed.
    """
    lanes = sum(lane.height for lane in lanes_of(result.timeline))
    rows = ROW, min(max(ROW, 1.2 + 0.2 * lanes), 1.5 * ROW)
    picture = style.figure(sum(rows), WIDTH)
    for axes, draw in zip(
        picture.subplots(2, 2, height_ratios=rows).ravel(), PANELS.values(), strict=True
    ):
        draw(axes, result)
    style.heading(picture, f"{result.source}: {result.arguments}", result.verdict)
    return picture


def draw_rate(axes: Axes, result: TuneResult) -> None:
    """Draw what so many workers make, what the step uses, and how busy the cores were."""
    style.finish(axes, "What workers make", "workers", "batches a second")
    points = sorted(result.points, key=lambda point: point.workers)
    if not points:
        return style.note(axes, "No batch was made.")
    workers = [point.workers for point in points]
    rates = np.array([point.batches_per_second.mean for point in points])
    low = np.array([point.batches_per_second.low for point in points])
    high = np.array([point.batches_per_second.high for point in points])
    known = np.isfinite(low) & np.isfinite(high)
    spread = [np.where(known, np.maximum(each, 0), 0) for each in (rates - low, high - rates)]
    axes.errorbar(
        workers, rates, yerr=spread, capsize=3, markersize=5, label="made (with 95 % interval)",
        **style.LINES[0],
    )  # fmt: skip
    if result.step and result.step.median:
        used = 1 / result.step.median
        name = f"the step uses {style.number(used)}"
        axes.axhline(used, color=style.INK, linestyle="--", linewidth=1.3, label=name)
    axes.axvline(
        result.workers, color=style.GRID, linewidth=8, zorder=0, label=f"workers={result.workers}"
    )
    axes.set_xticks(style.thinned(workers))
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter("{x:,.10g}")
    style.legend(axes, *_draw_cpu(axes, points), below=True)


def _draw_cpu(axes: Axes, points: list[Point]) -> list[Axes]:
    """Draw how busy the cores were on an axis of their own, and return that, if it is known."""
    known = [point for point in points if np.isfinite(point.cpu_ratio)]
    if not known:
        return []
    cpu = axes.twinx()
    style.finish(cpu, "", "", "CPU (%)")
    cpu.patch.set_visible(False)
    cpu.grid(False)
    cpu.spines["right"].set_visible(True)
    cpu.set_ylim(0, 105)
    busy = [100 * point.cpu_ratio for point in known]
    cpu.plot([point.workers for point in known], busy, **style.LINES[5], label="CPU (right axis)")
    return [cpu]


def draw_stall(axes: Axes, result: TuneResult) -> None:
    """Draw how long the loop waits for each length of the queue: predicted, and measured."""
    style.finish(axes, "Waiting for data", "max_queue_size", "share of the time (%)")
    if not result.blocks and not stall_curve(result, result.workers):
        return style.note(axes, "Without the times of batches and a step\nnothing is predicted.")
    for place, (look, workers) in enumerate(
        zip(style.LINES, compared_workers(result), strict=False)
    ):
        curve = stall_curve(result, workers)
        name = f"workers={workers}"
        if curve:
            stalls = [100 * stall for stall in curve.values()]
            axes.plot(list(curve), stalls, **look | {"marker": ""}, label=f"predicted, {name}")
        blocks = [block for block in result.blocks if block.workers == workers]
        if blocks:
            _draw_blocks(axes, blocks, look, f"measured, {name}", BESIDE**place)
    axes.axvline(result.max_queue_size, color=style.GRID, linewidth=8, zorder=0, label="chosen")
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    most = max(axes.get_ylim()[1], LEAST_TOP)
    axes.set_ylim(-0.03 * most, most)  # a line at 0 is to be seen
    style.legend(axes, below=True)


def compared_workers(result: TuneResult) -> list[int]:
    """Return the numbers of workers for which there is something to compare: the answer's first."""
    return list(dict.fromkeys([result.workers, *(block.workers for block in result.blocks)]))


def stall_curve(result: TuneResult, workers: int) -> dict[int, float]:
    """Return the share of the time that is predicted to be waited, for lengths of the queue.

    They go up to twice the answer's, and those that were measured are among them. Empty where
    there are no times of so many workers, or of the step.
    """
    point = next((point for point in result.points if point.workers == workers), None)
    if workers == result.workers:
        point = result.point
    if not point or not workers or not result.step_seconds:
        return {}
    tried = {block.ahead for block in result.blocks} | {result.max_queue_size}
    spaced = np.geomspace(1, 2 * max(tried), CURVE).round().astype(int)
    return {
        ahead: predicted_stall(point.make_seconds, result.step_seconds, workers, ahead)
        for ahead in sorted(tried | set(spaced.tolist()))
    }


def _draw_blocks(
    axes: Axes, blocks: list[Block], look: dict[str, Any], name: str, beside: float
) -> None:
    """Draw the median of the blocks with each length of the queue, and their spread."""
    lengths = sorted({block.ahead for block in blocks})
    stalls = [[100 * block.stall for block in blocks if block.ahead == each] for each in lengths]
    middles = np.array([np.median(each) for each in stalls])
    spread = [middles - [min(each) for each in stalls], [max(each) for each in stalls] - middles]
    axes.errorbar(
        np.multiply(lengths, beside), middles, yerr=spread, capsize=3, markersize=6,
        **look | {"linestyle": "none"}, label=name,
    )  # fmt: skip


def draw_times(axes: Axes, result: TuneResult) -> None:
    """Draw the histogram of the making of batches, and how long one may take unnoticed."""
    point = result.point
    times = np.empty(0) if point is None else point.make_seconds
    slack = result.max_queue_size * (result.step_seconds or 0.0)
    longest = float(times.max(initial=0.0))
    marks = [("queue x step", slack, "-.")] if 0 < slack < FAR * longest else []
    draw_make_times(axes, times, *marks)
    if slack >= FAR * longest > 0:
        name = f"queue x step: {style.duration(slack)} (further right)"
        axes.plot([], [], color=style.INK, linestyle="-.", label=name)
    style.legend(axes, below=True)


def draw_lanes(axes: Axes, result: TuneResult) -> None:
    """Draw the lanes of the last seconds of both together."""
    ends = seconds(result.timeline, "answered_ns")
    start = max(0.0, float(ends[-1]) - SECONDS) if ends.size else 0.0
    draw_timeline(axes, result.timeline, start)
    style.legend(axes, below=True)


PANELS: dict[str, Draw] = {
    "What so many workers make, when nobody keeps them waiting. They are enough where the line is "
    "above the dashed one: what the step alone uses.": draw_rate,
    "The share of the time that the loop waits. Lines replay the measured times of batches with "
    "each length of the queue; marks with whiskers are what the real loop did.": draw_stall,
    "How long one worker takes to make a batch. A batch that takes longer than the queue's length "
    "times the step keeps the loop waiting, however many workers there are.": draw_times,
    "The last seconds of the loop: what each worker and the loop did.": draw_lanes,
}
"""The panels in their order, under what says how to read each."""
