"""No workers: the parent makes each batch itself, when it asks for it (``workers=0``)."""

from __future__ import annotations

from fastfeed._core import Batch, Claim, Lease, Memory, Ring, Segment, private_lease
from fastfeed.errors import WorkerCrashed
from fastfeed.sources.base import Source
from fastfeed.workers.work import Work


class LocalRoom:
    """Memory for workers that share the parent's address space."""

    def __init__(self) -> None:
        self._segments: dict[int, Segment] = {}
        self._spills: dict[int, Lease] = {}
        self._failures: dict[int, BaseException] = {}

    def add(self, number: int, segment: Segment) -> None:
        """Know the parent's segment."""
        self._segments[number] = segment

    def forget(self, number: int) -> None:
        """Let go of a segment that no ticket names any more."""
        del self._segments[number]

    def clear(self) -> None:
        """Let go of everything: who keeps a closed loader keeps no memory."""
        self._segments.clear()
        self._spills.clear()
        self._failures.clear()

    def slot(self, segment: int) -> Memory:
        """Return the segment that a ticket names."""
        return self._segments[segment]

    def view(self) -> ThreadRoom:
        """Return the room of one worker."""
        return ThreadRoom(self)

    def take_spill(self, sequence: int) -> Lease:
        """Return the memory that a worker made for a ticket."""
        return self._spills.pop(sequence)

    def take_failure(self, sequence: int) -> BaseException:
        """Return the exception that a worker met with a ticket."""
        return self._failures.pop(sequence)

    def put_spill(self, sequence: int, lease: Lease) -> None:
        """Keep memory for the parent."""
        self._spills[sequence] = lease

    def put_failure(self, sequence: int, error: BaseException) -> None:
        """Keep an exception for the parent."""
        self._failures[sequence] = error


class ThreadRoom:
    """One local worker's `Room`."""

    def __init__(self, shared: LocalRoom) -> None:
        self._shared = shared
        self._spill: Lease | None = None

    def slot(self, claim: Claim) -> Memory:
        """Return the segment that a ticket names."""
        return self._shared.slot(claim.segment)

    def spill(self, n_bytes: int) -> Memory:
        """Return ordinary memory."""
        self._spill = private_lease(n_bytes)
        return self._spill

    def send_spill(self, sequence: int) -> None:
        """Leave the memory where the parent finds it."""
        assert self._spill is not None
        self._shared.put_spill(sequence, self._spill)
        self._spill = None

    def pack_failure(self, error: BaseException, sequence: int) -> bytes:
        """Leave the exception where the parent finds it, traceback and all."""
        self._shared.put_failure(sequence, error)
        return b""


class LocalPool:
    """What pools in the parent's address space have in common: nobody of them can die."""

    def __init__(self) -> None:
        self.restarts = 0
        self.monitor = None
        self.deaths_seen = 0
        self._room = LocalRoom()

    def announce(self, number: int, segment: Segment, fd: int) -> None:
        """Know the parent's segment."""
        self._room.add(number, segment)

    def retire(self, number: int) -> None:
        """Forget it."""
        self._room.forget(number)

    def collect(self, batch: Batch) -> Lease:
        """Return the memory that came with a spilled batch."""
        return self._room.take_spill(batch.sequence)

    def failure(self, batch: Batch, note: bytes) -> BaseException:
        """Return the exception that a worker met."""
        return self._room.take_failure(batch.sequence)

    def crash(self, batch: Batch) -> WorkerCrashed:
        """Never happens: a crash here is the parent's own."""
        raise AssertionError(f"worker {batch.worker} died without a process of its own")


class InlinePool(LocalPool):
    """The calling thread as the only worker."""

    size = 0

    def __init__(self, ring: Ring, source: Source, seed: int) -> None:
        super().__init__()
        source.open(0)
        self._work = Work(ring, 0, source, seed, self._room.view(), seeds="borrow")

    def start(self) -> None:
        """Nothing to start."""

    def tend(self) -> None:
        """Make the next batch now."""
        self._work.make_one()

    def close(self) -> None:
        """Let go of the memory."""
        del self._work  # its writer holds the slot of the last batch
        self._room.clear()
