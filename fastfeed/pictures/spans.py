"""From records to what is drawn: spans of time, shares of windows, batches that were ready.

All times that leave this file are seconds since the first record's batch was asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Records = np.ndarray[Any, np.dtype[np.void]]
"""Batches in the order handed out; the fields are those of the journal."""
Seconds = NDArray[np.float64]

NS = 1e-9


@dataclass(frozen=True)
class Spans:
    """Spans of time that do not overlap, in order.

    Parameters
    ----------
    starts, stops : ndarray of float64, shape (spans,)
        Seconds.
    """

    starts: Seconds
    stops: Seconds

    @property
    def lengths(self) -> Seconds:
        """Seconds, one a span."""
        return self.stops - self.starts

    def chosen(self, which: NDArray[Any]) -> Spans:
        """Return some of them."""
        return Spans(self.starts[which], self.stops[which])

    def within(self, start: float, stop: float) -> Spans:
        """Return the parts of them that lie between two times, a nanosecond long at least."""
        cut = Spans(np.maximum(self.starts, start), np.minimum(self.stops, stop))
        return cut.chosen(cut.lengths > NS / 2)  # of the rest nothing but rounding is left


@dataclass(frozen=True)
class Uses:
    """What the consumer did with its time.

    Parameters
    ----------
    compute, production, order, upload : Spans
        Its steps, and the waits by their cause. A wait is in this order: first nothing is finished
        (production), then other batches than the next one (order), then the next one, but not
        yet on the device (upload).
    """

    compute: Spans
    production: Spans
    order: Spans
    upload: Spans


def seconds(records: Records, field: str, origin_ns: int | None = None) -> Seconds:
    """Return one of the records' times, in seconds since the first batch was asked for.

    Parameters
    ----------
    origin_ns : int, optional
        When that was, where `records` are only some of all.
    """
    if not records.size:
        return np.empty(0)
    origin = int(records["asked_ns"][0]) if origin_ns is None else origin_ns
    since = records[field].astype(np.int64) - origin  # whole numbers: float64 has no 10**18 + 1
    return since.astype(np.float64) * NS


def uses(records: Records) -> Uses:
    """Return what the consumer did with its time, from the first request to the last answer."""
    asked, answered = seconds(records, "asked_ns"), seconds(records, "answered_ns")
    same_pass = records["epoch"][1:] == records["epoch"][:-1]
    upload_starts = answered - records["upload_wait_ns"] * NS
    order_starts = upload_starts - records["order_wait_ns"] * NS
    return Uses(
        Spans(answered[:-1], asked[1:]).chosen(same_pass),
        Spans(asked, np.maximum(order_starts, asked)),
        Spans(np.maximum(order_starts, asked), np.maximum(upload_starts, asked)),
        Spans(np.maximum(upload_starts, asked), answered),
    )


def spent(spans: Spans, edges: Seconds) -> Seconds:
    """Return how many seconds of each window the spans cover.

    Parameters
    ----------
    edges : ndarray of float64, shape (windows + 1,)
        Where windows begin and end, rising.
    """
    if not spans.starts.size:
        return np.zeros(edges.size - 1)
    times = np.column_stack((spans.starts, spans.stops)).ravel()
    sums = np.cumsum(spans.lengths)
    so_far = np.column_stack((sums - spans.lengths, sums)).ravel()
    return np.diff(np.interp(edges, times, so_far))


def made(records: Records) -> NDArray[np.bool_]:
    """Return which batches have a time of making: those of a dead worker's last try have none."""
    found: NDArray[np.bool_] = (records["started_ns"] > 0) & (
        records["made_ns"] >= records["started_ns"]
    )
    return found


def make_seconds(records: Records) -> Seconds:
    """Return how long each batch took to make, in seconds; without those that nobody made."""
    known = records[made(records)]
    return np.asarray(known["work_ns"] / 1e9)


@dataclass(frozen=True)
class Level:
    """How a number of batches went over time.

    Parameters
    ----------
    edges : ndarray of float64, shape (windows + 1,)
        Seconds.
    least, mean, most : ndarray of float64, shape (windows,)
        Batches.
    """

    edges: Seconds
    least: Seconds
    mean: Seconds
    most: Seconds


def level(arrivals: Seconds, departures: Seconds, edges: Seconds) -> Level:
    """Return how many were there in each window, having come and not yet gone."""
    changes = np.repeat([0.0, 1.0, -1.0], [edges.size, arrivals.size, departures.size])
    times, places = np.unique(np.concatenate((edges, arrivals, departures)), return_inverse=True)
    *firsts, end = np.searchsorted(times, edges)
    counts = np.cumsum(np.bincount(places, changes))[:end]
    mean: Seconds = np.add.reduceat(counts * np.diff(times)[:end], firsts) / np.diff(edges)
    return Level(
        edges, np.minimum.reduceat(counts, firsts), mean, np.maximum.reduceat(counts, firsts)
    )


def windows(stop: float, number: int) -> Seconds:
    """Divide the time from 0 to `stop` seconds; also where no time passed."""
    return np.linspace(0.0, max(stop, NS), number + 1)
