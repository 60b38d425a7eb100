"""Follows a journal, so that a trace can be longer than what it holds."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from fastfeed.monitor.journal import Records, View

CAPACITY = 16_384
"""Batches that a journal holds (``FF_RECORDS`` in ``csrc/journal.h``)."""
PATIENCE = CAPACITY // 4
"""A ticket that so many newer ones have overtaken is not waited for: its loop was left."""
UPLOAD_NS = 1_000_000_000
"""An upload that is not known to be done after this long will not be."""
INTERVAL_S = 0.05
"""Between two looks: time for 16,384 batches at 300,000 a second."""


class Recording:
    """What one loader hands out from now on.

    Parameters
    ----------
    view : View

    Attributes
    ----------
    parts : list of array of RECORD
        In the order handed out. Between two parts batches are missing.
    batches, lost : int
        How many there are in all; at the most so many are missing, because the journal was
        overwritten before it was looked at.
    """

    def __init__(self, view: View) -> None:
        self.view = view
        self.parts: list[Records] = []
        self.batches = self.lost = 0
        sequences = view.records()["sequence"].astype(np.int64)
        self._next = int(sequences.max(initial=-1)) + 1  # oldest ticket not seen yet
        self._seen = sequences[sequences >= self._next]  # of those behind it
        self._pieces: list[Records] = []

    def look(self, is_last: bool = False) -> int:
        """Take over what has been handed out since the last look; return how many there were.

        A batch that is still on its way to the GPU is left for the next look, unless that is last.
        """
        records = self.view.records(self._next)
        newest = int(records["sequence"].max(initial=0))  # of none: nothing depends on it
        self._count_lost(newest)
        fresh = records[~np.isin(records["sequence"], self._seen)]
        if not is_last:
            fresh = fresh[is_settled(fresh)]
        self._pieces.append(fresh)
        self.batches += len(fresh)
        self._remember(fresh["sequence"], newest)
        if is_last:
            self._end_part()
        return len(fresh)

    def _count_lost(self, newest: int) -> None:
        oldest = newest + 1 - CAPACITY  # that the journal can hold
        if oldest > self._next:
            self.lost += oldest - self._next - int((self._seen < oldest).sum())
            self._next = oldest
            self._end_part()

    def _remember(self, sequences: Records, newest: int) -> None:
        """Find the oldest ticket that may still come; keep the numbers of those behind it."""
        seen = np.union1d(self._seen, sequences).astype(np.int64)
        start = max(self._next, newest - PATIENCE)
        seen = seen[seen >= start]
        gaps = np.flatnonzero(seen != np.arange(start, start + len(seen)))
        self._next = start + int(gaps[0] if gaps.size else len(seen))
        self._seen = seen[seen >= self._next]

    def _end_part(self) -> None:
        if any(map(len, self._pieces)):
            part = np.concatenate(self._pieces)
            self.parts.append(part[np.argsort(part["answered_ns"], kind="stable")])
        self._pieces = []


def is_settled(records: Records) -> npt.NDArray[np.bool_]:
    """Return for each record, as bool, whether nothing will be added to it."""
    settled: npt.NDArray[np.bool_] = (records["upload_ns"] == 0) | (records["uploaded_ns"] > 0)
    return settled | (records["answered_ns"] < time.monotonic_ns() - UPLOAD_NS)


def of_journal(view: View, seconds: float | None = None) -> Recording:
    """Return what a journal holds now, or of that the last seconds."""
    recording = Recording(view)
    records = view.records()
    if seconds is not None:
        records = records[records["answered_ns"] >= time.monotonic_ns() - int(seconds * 1e9)]
    recording.parts = [records] if len(records) else []
    recording.batches = len(records)
    return recording


def follow(
    recordings: Sequence[Recording], seconds: float, goes_on: Callable[[], bool], most: int
) -> None:
    """Record for some seconds, or until the job has ended or there are so many batches.

    May be interrupted: what was recorded until then is there all the same.

    Parameters
    ----------
    recordings : sequence of Recording
        One a loader, all looked at in turn.
    goes_on : callable
        Returns whether the job still runs.
    most : int
        Batches.
    """
    end = time.monotonic() + seconds
    try:
        while time.monotonic() < end and goes_on():
            found = [recording.look() for recording in recordings]
            if sum(recording.batches for recording in recordings) >= most:
                return
            if max(found) < CAPACITY // 4:
                time.sleep(min(INTERVAL_S, max(0.0, end - time.monotonic())))
    finally:
        for recording in recordings:
            recording.look(is_last=True)
