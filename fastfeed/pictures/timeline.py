"""What each worker, the upload and the training loop did, on lanes along the time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fastfeed.pictures import style
from fastfeed.pictures.spans import NS, Records, Seconds, Spans, made, seconds, spent, uses

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SECONDS = 3.0
BAR = 0.8
"""Of the height of a lane."""
OUTLINED = 1 / 140
"""Of the time shown: bars that are narrower in the mean would be all outline."""
MOST_BARS = 400
"""Of a lane; more would be narrower than two dots."""
SHARES = 300
"""Windows of a lane with more bars than that."""
MOST_LABELS = 36
MOST_INCHES = 12.0
EXCEPTION, CRASHED = 1, 3
"""Kinds of record."""


Shown = tuple[style.Look, Spans]
Place = tuple[float, float]
"""Of a lane: its top and its height."""


@dataclass(frozen=True)
class Lane:
    """One line of the picture.

    Parameters
    ----------
    label : str
    height : float
        In lanes of a worker.
    bars : list of (Look, Spans)
    """

    label: str
    height: float
    bars: list[Shown]


def timeline_picture(records: Records, start: float = 0.0, length: float = SECONDS) -> Figure:
    """Draw a lane for each worker, the upload and the loop.

    Parameters
    ----------
    records : ndarray of the journal's dtype, shape (batches,)
    start : float
        Seconds after the first batch was asked for.
    length : float
        Seconds to show; less where the records end before.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    LibraryMissing
        matplotlib is not installed.
    """
    heights = sum(lane.height for lane in lanes_of(records))
    picture = style.figure(height=min(1.6 + 0.28 * heights, MOST_INCHES))
    axes = picture.subplots()
    draw_timeline(axes, records, start, length)
    style.legend(axes)
    return picture


def draw_timeline(
    axes: Axes, records: Records, start: float = 0.0, length: float = SECONDS
) -> None:
    """Draw the lanes on a panel; see `timeline_picture`."""
    style.finish(axes, "What each did", "time (s)", "")
    if not records.size:
        return style.note(axes, "No batch was handed out.")
    stop = min(start + length, float(seconds(records, "answered_ns")[-1]))
    window = (start, max(stop, start + NS))
    axes.set_xlim(*window)
    style.time_axis(axes, window[1])
    lanes = lanes_of(records)
    heights = np.array([lane.height for lane in lanes])
    tops = np.cumsum(heights) - heights
    named: set[str] = set()
    for lane, top in zip(lanes, tops, strict=True):
        shown = [(look, spans.within(*window)) for look, spans in lane.bars]
        shown = [(look, spans) for look, spans in shown if spans.starts.size]
        if sum(spans.starts.size for _, spans in shown) > MOST_BARS:
            _draw_shares(axes, shown, window, (top, BAR * lane.height), named)
        else:
            _draw_bars(axes, shown, window, (top, BAR * lane.height), named)
    middles = tops + BAR * heights / 2
    _draw_failures(axes, records, window, middles[-1])
    _label(axes, [lane.label for lane in lanes], middles)
    axes.set_ylim(tops[-1] + heights[-1], BAR - 1)  # the first lane on top


def lanes_of(records: Records) -> list[Lane]:
    """Return the lanes from the top: workers, the upload where there is one, the loop."""
    if not records.size:
        return []
    known = records[made(records)]
    origin = int(records["asked_ns"][0])
    workers = np.unique(known["worker"])
    tall = max(1.0, workers.size / 15)  # the loop is what one looks for
    lanes = []
    for worker in workers:
        own = _between(known[known["worker"] == worker], "started_ns", "made_ns", origin)
        lanes.append(Lane(f"worker {worker}", 1.0, [(style.MAKE, own)]))
    uploads = records[records["uploaded_ns"] > 0]
    if uploads.size:
        copies = _between(uploads, "upload_ns", "uploaded_ns", origin)
        lanes.append(Lane("upload", tall, [(style.COPY, copies)]))
    used = uses(records)
    loop = [
        (style.COMPUTE, used.compute),
        (style.PRODUCTION, used.production),
        (style.ORDER, used.order),
        (style.UPLOAD, used.upload),
    ]
    return [*lanes, Lane("loop", tall, loop)]


def _between(records: Records, begin: str, end: str, origin_ns: int) -> Spans:
    """Return the spans between two times of the records, in order, without overlaps.

    A copy to a device is issued while others are under way, and waits for them.
    """
    ordered = records[np.argsort(records[begin])]
    starts, stops = seconds(ordered, begin, origin_ns), seconds(ordered, end, origin_ns)
    stops = np.maximum.accumulate(stops)
    starts[1:] = np.maximum(starts[1:], stops[:-1])
    return Spans(starts, stops)


def _draw_bars(
    axes: Axes, shown: list[Shown], window: tuple[float, float], place: Place, named: set[str]
) -> None:
    """Draw a bar for each span."""
    for look, spans in shown:
        area = look.area()
        if np.median(spans.lengths) < OUTLINED * (window[1] - window[0]):
            area |= {"linewidth": 0} if look.hatch else {"linewidth": 0.4, "edgecolor": style.PAPER}
        bars = list(zip(spans.starts, spans.lengths, strict=True))
        axes.broken_barh(bars, place, label=_name_once(look, named), **area)


def _draw_shares(
    axes: Axes, shown: list[Shown], window: tuple[float, float], place: Place, named: set[str]
) -> None:
    """Draw the share of short windows that was spent: bars would be finer than the picture."""
    edges = np.linspace(*window, SHARES + 1)
    top, height = place
    base = np.full(SHARES, top + height)  # heights count downwards
    for look, spans in shown:
        above = base - height * spent(spans, edges) / np.diff(edges)
        axes.stairs(
            above, edges, baseline=base, fill=True, label=_name_once(look, named),
            **look.area() | {"linewidth": 0},
        )  # fmt: skip
        base = above
    axes.set_ylabel("height: share of the time")


def _name_once(look: style.Look, named: set[str]) -> str | None:
    """Return the name for the legend, which is to have each only once."""
    name = None if look.name in named else look.name
    named.add(look.name)
    return name


def _draw_failures(
    axes: Axes, records: Records, window: tuple[float, float], height: float
) -> None:
    """Mark where the loop got an exception in place of a batch."""
    answered = seconds(records, "answered_ns")
    for kind, name, mark in ((EXCEPTION, "exception", "X"), (CRASHED, "worker died", "P")):
        times = answered[records["kind"] == kind]
        times = times[(times >= window[0]) & (times <= window[1])]
        if times.size:
            axes.plot(
                times, np.full(times.size, height), mark, color=style.INK, label=name,
                markeredgecolor=style.PAPER, markersize=8, clip_on=False,
            )  # fmt: skip


def _label(axes: Axes, labels: list[str], middles: Seconds) -> None:
    """Name the lanes; where workers are many, only some of these."""
    step = -(-len(labels) // MOST_LABELS)
    chosen = [
        place
        for place, label in enumerate(labels)
        if place % step == 0 or not label.startswith("worker")
    ]
    axes.set_yticks(middles[chosen], [labels[place] for place in chosen])
    axes.grid(False, axis="y")
