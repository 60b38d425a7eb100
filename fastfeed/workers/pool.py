"""What the parent sees of its workers, whichever kind they are."""

from __future__ import annotations

from typing import Protocol

from fastfeed._core import Batch, Lease, Monitor, Segment
from fastfeed.errors import WorkerCrashed


class Pool(Protocol):
    """Workers of one kind, on one ring.

    Attributes
    ----------
    size : int
        Number of workers; 0 for the calling thread.
    restarts : int
        Workers replaced after they died.
    """

    size: int
    restarts: int

    @property
    def monitor(self) -> Monitor | None:
        """Who watches the workers, if they can die."""

    @property
    def deaths_seen(self) -> int:
        """Deaths that `tend` has dealt with; the parent's sleep ends when there are more."""

    def start(self) -> None:
        """Bring the workers to life."""

    def announce(self, number: int, segment: Segment, fd: int) -> None:
        """Tell the workers of a new segment, before any ticket names it."""

    def retire(self, number: int) -> None:
        """Let the workers forget a segment that no ticket names any more."""

    def tend(self) -> None:
        """Replace workers that died. Called before each sleep of the parent.

        Raises
        ------
        WorkersLost
            If they cannot be brought back.
        """

    def collect(self, batch: Batch) -> Lease:
        """Return the segment that came with a spilled batch."""

    def failure(self, batch: Batch, note: bytes) -> BaseException:
        """Return the exception that a worker published."""

    def crash(self, batch: Batch) -> WorkerCrashed:
        """Return the error for an item that kills its workers."""

    def close(self) -> None:
        """End all workers; those in the middle of an item are given a moment."""
