"""Rates: against workers and the length of the queue, and of one loader beside others."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fastfeed.pictures import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_LINES = len(style.LINES)
OURS = style.Look("fastfeed", "#7fabd6")
OTHERS = style.Look("others", "#e6eaee")
LEAST_RATIO = 0.01
"""Of what copying allows: less says that copies are not what takes the time."""
LABEL = 34
"""Characters of a line of a loader's name."""
RATE = "batches a second"
NOTHING = "Nothing was measured."


@dataclass(frozen=True)
class Setting:
    """A rate that was measured with some workers and some length of the queue.

    Parameters
    ----------
    workers, max_queue_size : int
    batches_per_second : float
    """

    workers: int
    max_queue_size: int
    batches_per_second: float


@dataclass(frozen=True)
class Row:
    """What one loader reached on one kind of work.

    Parameters
    ----------
    workload, loader : str
    batches_per_second : sequence of float
        One a repeat.
    copy_limit_ratio : float, optional
        Of the median to the rate at which one core could just copy the batches.
    """

    workload: str
    loader: str
    batches_per_second: Sequence[float]
    copy_limit_ratio: float | None = None

    @property
    def median(self) -> float:
        """Batches a second; 0 if there is no repeat."""
        return float(np.median(self.batches_per_second)) if len(self.batches_per_second) else 0.0


def throughput_picture(settings: Sequence[Setting]) -> Figure:
    """Draw rates against workers and the length of the queue: as lines, and each as a number.

    Parameters
    ----------
    settings : sequence of Setting
        Where one was measured several times, the median counts. Not all combinations need be there.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    LibraryMissing
        matplotlib is not installed.
    """
    rates = _medians(settings)
    queues = sorted({queue for _, queue in rates})
    workers = sorted({each for each, _ in rates})
    width = style.WIDTH + max(0.0, 0.5 * (len(workers) - 8))
    picture = style.figure(6.4 + max(0.0, 0.25 * (len(queues) - 6)), width)
    lines, table = picture.subplots(2, 1)
    _draw_lines(lines, rates, workers, queues)
    _draw_table(table, rates, workers, queues)
    return picture


def _medians(settings: Sequence[Setting]) -> dict[tuple[int, int], float]:
    """Return the rate of each (workers, queue)."""
    found: dict[tuple[int, int], list[float]] = {}
    for each in settings:
        place = each.workers, each.max_queue_size
        found.setdefault(place, []).append(each.batches_per_second)
    return {place: float(np.median(rates)) for place, rates in found.items()}


def _draw_lines(
    axes: Axes, rates: dict[tuple[int, int], float], workers: list[int], queues: list[int]
) -> None:
    style.finish(axes, "Rate against workers", "workers", RATE)
    if not rates:
        return style.note(axes, NOTHING)
    places = np.linspace(0, len(queues) - 1, min(len(queues), MOST_LINES)).round().astype(int)
    for look, queue in zip(style.LINES, [queues[place] for place in places], strict=False):
        there = [each for each in workers if (each, queue) in rates]
        found = [rates[each, queue] for each in there]
        axes.plot(there, found, **look, markersize=5, label=f"max_queue_size={queue}")
    axes.set_xticks(style.thinned(workers))
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter("{x:,.10g}")
    style.legend(axes)


def _draw_table(
    axes: Axes, rates: dict[tuple[int, int], float], workers: list[int], queues: list[int]
) -> None:
    style.finish(axes, "Rate for each setting (batches a second)", "workers", "max_queue_size")
    if not rates:
        return style.note(axes, NOTHING)
    grid = np.full((len(queues), len(workers)), np.nan)
    for (each, queue), rate in rates.items():
        grid[queues.index(queue), workers.index(each)] = rate
    most = float(np.nanmax(grid)) or 1.0
    axes.grid(False)
    axes.imshow(grid, cmap="Greys", vmin=0, vmax=1.25 * most, aspect="auto", origin="lower")
    axes.set_xticks(range(len(workers)), [str(each) for each in workers])
    axes.set_yticks(range(len(queues)), [str(queue) for queue in queues])
    for (row, column), rate in np.ndenumerate(grid):
        if not math.isnan(rate):
            ink = style.PAPER if rate > 0.65 * most else style.INK
            bold = "bold" if rate == most else "normal"
            axes.text(
                column, row, style.number(rate), ha="center", va="center", color=ink,
                fontsize=style.SMALL_POINTS, fontweight=bold,
            )  # fmt: skip


def bench_picture(rows: Sequence[Row]) -> Figure:
    """Draw the rates of loaders beside each other, a panel for each kind of work.

    Bars are medians, the lines on them go from the slowest to the fastest repeat.

    Parameters
    ----------
    rows : sequence of Row
        Panels are in the order of the first row of each; bars from the fastest to the slowest.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    LibraryMissing
        matplotlib is not installed.
    """
    works = list(dict.fromkeys(row.workload for row in rows)) or [""]
    found = [[row for row in rows if row.workload == work] for work in works]
    heights = [1.1 + 0.3 * max(1, len(of_work)) for of_work in found]
    picture = style.figure(height=sum(heights))
    panels = picture.subplots(len(works), 1, height_ratios=heights, squeeze=False)[:, 0]
    for axes, work, of_work in zip(panels, works, found, strict=True):
        _draw_bench(axes, work, of_work)
    return picture


def _draw_bench(axes: Axes, work: str, rows: list[Row]) -> None:
    """Draw one kind of work."""
    style.finish(axes, style.plain(work), RATE, "")
    measured = sorted((row for row in rows if row.median), key=lambda row: -row.median)
    if not measured:
        return style.note(axes, NOTHING)
    for place, row in enumerate(measured):
        look = OURS if row.loader.startswith("fastfeed") else OTHERS
        axes.barh(place, row.median, height=0.7, **look.area())
        least, most = min(row.batches_per_second), max(row.batches_per_second)
        spread = [[row.median - least], [most - row.median]]
        axes.errorbar(row.median, place, xerr=spread, color=style.INK, capsize=3, linewidth=1.2)
        axes.annotate(
            _label(row), (most, place), (6, 0), textcoords="offset points", va="center",
            color=style.INK, fontsize=style.SMALL_POINTS, annotation_clip=False,
        )  # fmt: skip
    axes.set_yticks(range(len(measured)), [_in_two_lines(row.loader) for row in measured])
    axes.set_ylim(len(measured) - 0.4, -0.6)  # the fastest on top
    axes.set_xlim(0, 1.02 * max(max(row.batches_per_second) for row in measured))
    axes.xaxis.set_major_formatter("{x:,.10g}")
    axes.locator_params(axis="x", nbins=5)  # more of them would overlap
    axes.grid(False, axis="y")


def _in_two_lines(name: str) -> str:
    lines = textwrap.wrap(name, LABEL, max_lines=2, placeholder=" ...")
    return style.plain("\n".join(lines))


def _label(row: Row) -> str:
    ratio = row.copy_limit_ratio
    if ratio is None or ratio < LEAST_RATIO:
        return style.number(row.median)
    return f"{style.number(row.median)}  ({ratio:.2f} of the copy limit)"
