"""What the parent sees of its workers, whichever kind they are."""

from __future__ import annotations

from collections.abc import Iterable
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


class ElasticPool(Pool, Protocol):
    """A pool whose workers come and go while it is at work. What they make does not depend on it.

    Only the thread that calls `tend` may call these.
    """

    @property
    def workers(self) -> list[int]:
        """The numbers of the workers that are to stay, in order."""

    def add(self, count: int) -> None:
        """Start more workers; fewer than asked for while others that go home have their numbers.

        Raises
        ------
        WorkersLost, OSError, RuntimeError
            If the system gives no more. Those that were started stay.
        """

    def drain(self, worker: int) -> None:
        """Let a worker go home after the batch in hand. One must stay."""

    def clocks(self) -> dict[int, int]:
        """Return a clock of `fastfeed.workers.clocks` for each worker that is there."""


class Roster:
    """The numbers of a pool's workers: which are to stay.

    Parameters
    ----------
    size : int
        Workers at first.
    most : int
        Numbers that the ring has.
    """

    def __init__(self, size: int, most: int) -> None:
        self._most = most
        self._staying = set(range(size))

    def __contains__(self, worker: int) -> bool:
        return worker in self._staying

    def __len__(self) -> int:
        return len(self._staying)

    def numbers(self) -> list[int]:
        """Return the numbers of those that stay, in order."""
        return sorted(self._staying)

    def join(self, count: int, taken: Iterable[int]) -> list[int]:
        """Return new numbers, except those that workers on their way home still have."""
        unfit = self._staying.union(taken)
        new = [worker for worker in range(self._most) if worker not in unfit][:count]
        self._staying.update(new)
        return new

    def leave(self, worker: int) -> None:
        """Take a worker off the list."""
        self._staying.remove(worker)
