"""Posts tickets and takes batches: the parent's side of the ring.

One consumer at a time. Everything here is on the path of each batch, so it is short.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from fastfeed._core import CANCELLED, CRASHED, DATA, END, EXCEPTION, NO_SEGMENT, Batch, Lease, Ring
from fastfeed.errors import LoaderClosed
from fastfeed.schedule import Schedule
from fastfeed.slots import Slots
from fastfeed.structure import Notes, Tree
from fastfeed.workers.pool import Pool


@dataclass
class Counters:
    """Running totals of a loader; the consumer's thread writes them."""

    batches: int = 0
    bytes: int = 0
    wait_s: float = 0.0


class Feed:
    """Keeps `ahead` tickets in the making or ready, and hands out batches epoch by epoch.

    Parameters
    ----------
    ahead : int
        Tickets posted and not yet taken, at the most.
    ordered : bool
        Batches in the order of their tickets, or as they are finished.
    """

    def __init__(
        self, ring: Ring, pool: Pool, slots: Slots, schedule: Schedule, ahead: int, ordered: bool
    ) -> None:
        self.counters = Counters()
        self.epoch = -1
        self._ring = ring
        self._pool = pool
        self._slots = slots
        self._schedule = schedule
        self._ahead = ahead
        self._ordered = ordered
        self._notes = Notes()
        self._posted = 0
        self._taken = 0
        self._stale_below = 0  # tickets with lower numbers belong to a loop that was left
        self._early: list[Batch] = []  # finished before their epoch began (unordered only)
        self._closed = False

    # -- epochs -----------------------------------------------------------------------------

    def begin_epoch(self) -> None:
        """Start the next epoch; drop what is left of one that was not finished."""
        unfinished = self.epoch >= 0 and not self.is_over
        self.epoch += 1
        if unfinished:
            self._drop_outstanding()
        self._schedule.begin(self.epoch, afresh=unfinished)

    def _drop_outstanding(self) -> None:
        """Withdraw what nobody has begun; what is being made is dropped when it comes out."""
        self._ring.cancel()
        self._stale_below = self._posted
        while self._early:
            self._discard(self._early.pop())

    @property
    def is_over(self) -> bool:
        """Everything of the current epoch was handed out."""
        return self._schedule.is_over(self.epoch)

    # -- batches ----------------------------------------------------------------------------

    def next(self) -> tuple[Lease, Tree] | None:
        """Return the next batch of the epoch as a lease and its skeleton; None at the end.

        Raises
        ------
        WorkerCrashed
            In the place of an item that kills its workers.
        Exception
            What the source raised, in the place of the item.
        """
        while not self.is_over:
            self._post()
            batch = self._take_early() or self._take()
            if batch.sequence < self._stale_below or batch.kind == CANCELLED:
                self._discard(batch)
            elif batch.kind == END or self._schedule.has_ended(batch.epoch, batch.worker):
                self._schedule.ended(batch.epoch, batch.worker)
                self._discard(batch)
            elif batch.epoch != self.epoch:
                self._early.append(batch)
            else:
                self._schedule.delivered()
                opened = self._open(batch)
                if self._pool.size:  # at once: the workers make it while the caller uses this one
                    self._post()
                return opened
        return None

    def _take_early(self) -> Batch | None:
        """Return one that was finished before its epoch, which is now. Several epochs may wait."""
        for place, batch in enumerate(self._early):
            if batch.epoch == self.epoch:
                return self._early.pop(place)
        return None

    def _post(self) -> None:
        while self._posted - self._taken + len(self._early) < self._limit():
            request = self._schedule.peek()
            place = self._slots.acquire() if request is not None else None
            if request is None or place is None:
                return
            if self._ring.post(request.item, request.epoch, *place, request.worker) < 0:
                # Unordered: a slow ticket has been overtaken by all the others that there are.
                self._slots.put_back(place)
                return
            self._posted += 1
            self._schedule.advance()

    def _limit(self) -> int:
        """Until the size of a batch is known, each travels in a segment of its own, which costs
        more: one a worker is enough to find out.
        """
        if self._slots.sized:
            return self._ahead
        return min(self._ahead, max(1, self._pool.size))

    def _take(self) -> Batch:
        batch = self._ring.take(self._ordered)
        if batch is None:
            batch = self._wait()
        self._taken += 1
        return batch

    def _wait(self) -> Batch:
        """Sleep until a batch is there; replace dead workers meanwhile."""
        start = time.perf_counter()
        batch = None
        while batch is None:
            if self._closed:
                raise LoaderClosed("The loader was closed while a loop was waiting for a batch.")
            self._pool.tend()
            batch = self._ring.take_wait(self._ordered, self._pool.monitor, self._pool.deaths_seen)
        self.counters.wait_s += time.perf_counter() - start
        return batch

    def _discard(self, batch: Batch) -> None:
        if batch.kind == EXCEPTION:
            self._failure(batch)
        else:
            self._slots.release(batch)

    # -- what is in a batch -----------------------------------------------------------------

    def _open(self, batch: Batch) -> tuple[Lease, Tree]:
        if batch.kind == EXCEPTION:
            raise self._failure(batch)
        if batch.kind == CRASHED:
            self._slots.release(batch)
            self._schedule.ended(batch.epoch, batch.worker)
            raise self._pool.crash(batch)
        assert batch.kind == DATA
        if batch.spilled:
            self._slots.fit(batch.note_offset + batch.note_bytes)
        lease = self._slots.lease(batch)
        note = bytes(memoryview(lease)[batch.note_offset : batch.note_offset + batch.note_bytes])
        skeleton = self._notes.decode(note, batch.index)
        self.counters.batches += 1
        self.counters.bytes += batch.data_bytes
        return lease, skeleton

    def _failure(self, batch: Batch) -> BaseException:
        if not batch.spilled and batch.segment == NO_SEGMENT:  # nothing was written
            return self._pool.failure(batch, b"")
        lease = self._slots.lease(batch)
        note = bytes(memoryview(lease)[batch.note_offset : batch.note_offset + batch.note_bytes])
        return self._pool.failure(batch, note)

    def close(self) -> None:
        """Wake and end a loop that is waiting."""
        self._closed = True
