"""``loader.stats().plot()``: where the time went, what was ready, how long batches took."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastfeed.pictures import style
from fastfeed.pictures.spans import (
    Records,
    Seconds,
    level,
    make_seconds,
    seconds,
    spent,
    uses,
    windows,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Mark = tuple[str, float, str]

MOST_BARS = 30
"""Windows of the bars: a hatch must still be seen in each."""
RECORDS_A_BAR = 5
MOST_LEVELS = 300
FEWEST_BINS, MOST_BINS = 12, 60
TAILED = 4.0
"""Longest over median making from which counts are drawn on a logarithmic scale."""
NOTHING = "No batch was handed out yet."


def stats_picture(
    records: Records, ahead: int | None = None, outstanding: int = 0, verdict: str = ""
) -> Figure:
    """Draw where the time of a step went, how many batches were ready, and how long they took.

    Parameters
    ----------
    records : ndarray of the journal's dtype, shape (batches,)
    ahead : int, optional
        The limit of batches ahead, to be marked.
    outstanding : int
        Batches that were posted and not handed out, when the records were read. Some of them may
        have been ready, which nobody recorded.
    verdict : str
        A sentence for the top. Default: the shares of the wait.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    LibraryMissing
        matplotlib is not installed.
    """
    picture = style.figure(height=8.0)
    shares, ready, times = picture.subplots(3, 1, height_ratios=(3, 2, 2))
    draw_shares(shares, records)
    draw_ready(ready, records, ahead, outstanding)
    draw_make_times(times, make_seconds(records))
    style.legend(shares, reverse=True)
    style.legend(ready)
    style.legend(times)
    style.heading(picture, verdict or in_words(records))
    return picture


def in_words(records: Records) -> str:
    """Say how much of its time the consumer waited, and for what."""
    if not records.size:
        return NOTHING
    used = uses(records)
    waits = {"production": used.production, "order": used.order}
    if has_device(records):
        waits["upload"] = used.upload
    sums = {name: float(each.lengths.sum()) for name, each in waits.items()}
    waited = sum(sums.values())
    whole = waited + float(used.compute.lengths.sum())
    parts = ", ".join(f"{name} {_percent(each, whole)}" for name, each in sums.items())
    count = "1 batch" if records.size == 1 else f"{records.size:,} batches"
    over = style.duration(float(seconds(records, "answered_ns")[-1]))
    return f"{count} in {over}: waited for data {_percent(waited, whole)} of the time ({parts})"


def has_device(records: Records) -> bool:
    """Return whether batches were uploaded to a device."""
    return bool((records["upload_ns"] > 0).any())


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "0 %"


def draw_shares(axes: Axes, records: Records) -> None:
    """Draw the share of each window that went into compute and into each kind of wait."""
    style.finish(axes, "Where the time went", "time (s)", "share of the time (%)")
    axes.set_ylim(0, 100)
    if not records.size:
        return style.note(axes, NOTHING)
    used = uses(records)
    bars = min(max(records.size // RECORDS_A_BAR, 1), MOST_BARS)
    edges = windows(float(seconds(records, "answered_ns")[-1]), bars)
    layers = [
        (style.COMPUTE, spent(used.compute, edges)),
        (style.PRODUCTION, spent(used.production, edges)),
        (style.ORDER, spent(used.order, edges)),
    ]
    if has_device(records):
        layers.append((style.UPLOAD, spent(used.upload, edges)))
    outside = np.diff(edges) - np.sum([each for _, each in layers], axis=0)
    if outside.sum() > edges[-1] / 200:  # less is rounding, or cannot be seen
        layers.append((style.OUTSIDE, outside))
    _stack(axes, edges, layers)
    axes.set_xlim(edges[0], edges[-1])
    style.time_axis(axes, float(edges[-1]))


def _stack(axes: Axes, edges: Seconds, layers: list[tuple[style.Look, Seconds]]) -> None:
    lengths = np.diff(edges)
    bottom = np.zeros(lengths.size)
    for look, part in layers:
        share = 100 * part / lengths
        axes.bar(
            edges[:-1], share, width=lengths, bottom=bottom, align="edge", label=look.name,
            **look.area(),
        )  # fmt: skip
        bottom += share


def draw_ready(
    axes: Axes, records: Records, ahead: int | None = None, outstanding: int = 0
) -> None:
    """Draw how many batches were finished and not yet taken.

    Those for which the loop was waiting already do not count: they were never ready to be taken.
    """
    style.finish(axes, "Batches ready to be taken", "time (s)", "batches")
    if not records.size:
        return style.note(axes, NOTHING)
    answered = seconds(records, "answered_ns")
    edges = windows(float(answered[-1]), min(max(2 * records.size, 1), MOST_LEVELS))
    for name, field, look in (
        ("finished", "made_ns", style.LINES[0]),
        ("on the device", "uploaded_ns", style.LINES[1]),
    ):
        early = (records[field] > 0) & (records[field] < records["asked_ns"])
        if early.any() or field == "made_ns":
            came = seconds(records, field)[early]
            _draw_level(axes, came, answered[early], edges, name, look)
    if ahead is not None:
        axes.axhline(ahead, color=style.INK, linestyle=(0, (5, 3)), linewidth=1, label="limit")
    if outstanding:
        _mark_unseen(axes, float(seconds(records, "posted_ns").max()), float(edges[-1]))
    axes.set_xlim(edges[0], edges[-1])
    style.time_axis(axes, float(edges[-1]))
    most = max(axes.get_ylim()[1], 1.05)
    axes.set_ylim(-0.02 * most, most)  # a line at 0 is to be seen
    style.whole_numbers(axes)


def _draw_level(
    axes: Axes, came: Seconds, went: Seconds, edges: Seconds, name: str, look: dict[str, str]
) -> None:
    """Draw the mean of each window as a line, and from the least to the most as a band."""
    there = level(came, went, edges)
    axes.stairs(there.most, edges, baseline=there.least, fill=True, color=look["color"], alpha=0.2)
    axes.stairs(
        there.mean, edges, color=look["color"], linestyle=look["linestyle"], linewidth=1.3,
        baseline=None, label=name,
    )  # fmt: skip


def _mark_unseen(axes: Axes, start: float, stop: float) -> None:
    """Grey out the end: batches posted from then on may have been ready, and were not recorded."""
    if 0 <= start < stop:
        axes.axvspan(
            start, stop, facecolor="none", edgecolor=style.MUTED, hatch="\\\\\\", linewidth=0,
            label="or more",
        )  # fmt: skip


def draw_make_times(axes: Axes, times: Seconds, *others: Mark) -> None:
    """Draw the histogram of how long one worker took to make a batch.

    Parameters
    ----------
    times : ndarray of float64, shape (batches,)
        Seconds.
    *others : tuple of str, float and str
        What to mark besides the median, the 95th percentile and the longest: name, seconds, and
        matplotlib's name for its line.
    """
    longest = float(times.max()) if times.size else 0.0
    style.finish(axes, "Making of a batch", "time (s)", "batches")
    if not longest:
        return style.note(axes, "No batch was made.")
    bins = min(max(int(np.sqrt(times.size) * 2), FEWEST_BINS), MOST_BINS)
    axes.hist(times, bins=bins, range=(0, 1.02 * longest), **style.MAKE.area())
    style.time_axis(axes, longest)
    median, late = np.quantile(times, (0.5, 0.95))
    marks = [("median", median, "-"), ("95 %", late, "--"), ("longest", longest, ":"), *others]
    for name, at, dashes in marks:
        label = f"{name}: {style.duration(at)}"
        axes.axvline(at, color=style.INK, linestyle=dashes, linewidth=1.3, label=label)
    if longest > TAILED * median:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:,g}")
        axes.set_ylim(bottom=0.7)
    else:
        style.whole_numbers(axes)
    axes.set_xlim(left=0)
