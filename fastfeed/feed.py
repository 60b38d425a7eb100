"""Posts tickets and takes batches: the parent's side of the ring.

One consumer at a time. Everything here is on the path of each batch, so it is short.
"""

from __future__ import annotations

import functools

from fastfeed._core import (
    CANCELLED,
    CRASHED,
    DATA,
    END,
    EXCEPTION,
    Batch,
    Belt,
    DeviceLease,
    Lease,
    Ring,
)
from fastfeed.devices.uploads import Uploads
from fastfeed.errors import LoaderClosed
from fastfeed.parts import Parts, merge, note_of
from fastfeed.schedule import Schedule
from fastfeed.slots import Slots
from fastfeed.structure import Notes, Tree
from fastfeed.workers.pool import Pool

Opened = tuple[Lease | DeviceLease, Tree]
"""A batch: where it lies, and its skeleton."""


class Feed:
    """Keeps tickets in the making or ready, and hands out batches epoch by epoch.

    Parameters
    ----------
    belt : Belt
        Posts, and opens batches of which nothing is unusual. Counts both.
    ordered : bool
        Batches in the order of their tickets, or as they are finished.
    uploads : Uploads or None
        Who takes batches from the ring to a device; None: they are taken here.

    Attributes
    ----------
    epoch : int
        That the consumer is in; -1 before the first.
    """

    def __init__(
        self,
        ring: Ring,
        belt: Belt,
        pool: Pool,
        slots: Slots,
        schedule: Schedule,
        ordered: bool,
        uploads: Uploads | None = None,
    ) -> None:
        self.epoch = -1
        self._ring = ring
        self._belt = belt
        self._pool = pool
        self._slots = slots
        self._schedule = schedule
        self._prepare = schedule.prepare
        self._uploads = uploads
        self._intake = uploads or ring
        belt.quiet = uploads is not None
        self._take = uploads.take if uploads else functools.partial(ring.take, ordered)
        self._take_wait = (
            uploads.take_wait if uploads else functools.partial(ring.take_wait, ordered)
        )
        self._notes = Notes()
        self._afresh = False  # the next epoch is not the one after this
        self._promised = 0  # batches of this epoch, as far as it is known
        self._stale_below = 0  # tickets with lower numbers belong to a loop that was left
        self._parts = Parts()
        self._closed = False

    # -- epochs -----------------------------------------------------------------------------

    def begin_epoch(self) -> None:
        """Start the next epoch; drop what is left of one that was not finished."""
        afresh = self._afresh or not self.is_over
        self._afresh = False
        self.epoch += 1
        if afresh:
            self._drop_outstanding()
        self._promised = self._schedule.begin(self.epoch, afresh)
        self._belt.begin(self.epoch, self._promised, self._stale_below)

    def resume(self, epoch: int, position: int) -> int:
        """Let the next epoch be this one, from this position on; drop what was made ahead. Return
        how many of its first batches are to be taken and thrown away: of a stream, which has no
        positions.
        """
        self.epoch, self._afresh = epoch - 1, True
        return self._schedule.resume(epoch, position)

    def reached(self, unread: int) -> int:
        """Return the position of the epoch after the batches that were handed out, but for the
        last `unread`.
        """
        return self._schedule.reached(self.epoch, self.handed_out - unread)

    @property
    def handed_out(self) -> int:
        """Batches of this epoch that were handed out, or failed."""
        return self._promised - self._belt.due

    def _drop_outstanding(self) -> None:
        """Withdraw what nobody has begun; what is being made is dropped when it comes out."""
        self._ring.cancel()
        self._belt.run = None
        self._stale_below = self._belt.posted
        if self._uploads is not None:
            self._uploads.skip_below(self._stale_below)
        for piece in self._parts.drop():
            self._discard(piece)
        # An interrupted `next` may have lost one.
        self._belt.held = self._belt.batches - self._intake.taken

    @property
    def is_over(self) -> bool:
        """Everything of the current epoch was handed out."""
        return not self._belt.due

    # -- batches ----------------------------------------------------------------------------

    def next(self) -> Opened | None:
        """Return the next batch of the epoch as a lease and its skeleton; None at the end. The belt
        was told that it is asked for.

        Raises
        ------
        WorkerCrashed
            In the place of an item that kills its workers.
        Exception
            What the source raised, in the place of the item.
        """
        belt = self._belt
        if self._prepare is not None:
            belt.wait()
            self._prepare()
            belt.wake()
        while belt.due:
            batch = self._take() or self._wait()
            opened = belt.open(batch) or self._open_unusual(batch)
            if opened is not None:
                if self._pool.size:  # at once: the workers make it while the caller uses this one
                    self._post()
                return opened
        return None

    def _post(self) -> None:
        while self._belt.post():
            run = self._schedule.next_run()
            if run is None:
                return
            self._belt.run = run

    def _wait(self) -> Batch:
        """Sleep until a batch is there; replace dead workers meanwhile."""
        batch = None
        try:
            while batch is None:
                if self._closed:
                    raise LoaderClosed("The loader was closed while a loop waited for a batch.")
                self._belt.wait()
                self._post()  # again each time: a copy to a device may have freed the only slot
                self._pool.tend()
                batch = self._take_wait(self._pool.monitor, self._pool.deaths_seen)
        finally:
            self._belt.wake()
        return batch

    # -- batches that the belt leaves alone --------------------------------------------------

    def _open_unusual(self, batch: Batch) -> Opened | None:
        """Return what `next` does; None if the consumer is not to see this one, or not now."""
        if batch.sequence < self._stale_below or batch.kind == CANCELLED:
            self._discard(batch)
        elif batch.parts > 1:
            return self._gather(batch)
        elif batch.kind == END or self._schedule.has_ended(batch.epoch, batch.worker):
            self._discard(batch)
            self._end(batch)
        elif batch.epoch != self.epoch:  # an interrupted `next` has lost the rest of this one
            self._discard(batch)
            self._belt.due, self._afresh = 0, True
        else:
            self._belt.held -= 1
            self._belt.due -= 1
            return self._open(batch)
        return None

    def _gather(self, piece: Batch) -> Opened | None:
        """Take a part; with the last one the batch is complete, and is looked at as any other."""
        pieces = self._parts.add(piece)
        if len(pieces) == piece.parts:
            return self._open_unusual(Batch.join(pieces))
        for left in pieces:  # an interrupted `next` has lost one of them
            self._discard(left)
        return None

    def _end(self, batch: Batch) -> None:
        """A worker's stream gives no more; what may still come from it is not for the belt."""
        try:
            self._schedule.ended(batch.epoch, batch.worker)
        finally:
            self._belt.look_closely()
            if self._schedule.is_over(self.epoch):
                self._promised -= self._belt.due
                self._belt.due = 0

    def _discard(self, batch: Batch) -> None:
        for piece in batch.pieces or (batch,):
            self._belt.held -= piece.is_last
            if piece.kind == EXCEPTION:
                self._failure(piece)
            else:
                self._slots.release(piece)

    def _open(self, batch: Batch) -> Opened:
        self._belt.record(batch)
        if batch.kind != DATA:
            raise self._error(batch)
        lease, note = self._contents(batch)
        skeleton = self._notes.decode(note, batch.index)
        if self._notes.is_known(note):
            self._belt.expect(note, skeleton)
        elif batch.pieces:  # objects: each part would always travel in memory of its own
            self._belt.most_parts = 1
        return lease, skeleton

    def _contents(self, batch: Batch) -> tuple[Lease | DeviceLease, bytes]:
        """Return where a batch lies now, and its note."""
        if batch.uploaded:
            return self._slots.device_lease(batch), batch.note
        lease, note = self._merge(batch) if batch.pieces else self._take_over(batch)
        return lease if self._uploads is None else self._uploads.upload(lease, batch), note

    def _take_over(self, batch: Batch) -> tuple[Lease, bytes]:
        if batch.spilled:
            self._slots.fit(batch.end)
        lease = self._slots.users_lease(batch)
        return lease, note_of(lease, batch)

    def _merge(self, batch: Batch) -> tuple[Lease, bytes]:
        """Put a batch together whose parts each brought their own memory."""
        leases = []
        for piece in batch.pieces:
            if piece.spilled:
                leases.append(self._slots.lease(piece))
            else:
                self._slots.release(piece)
        lease, note = merge(batch, leases)
        self._slots.fit(batch.data_bytes + len(note))
        return lease, note

    def _error(self, batch: Batch) -> BaseException:
        """Return what is raised in a batch's place: what happened to its first part that failed."""
        errors = [self._error_of(piece) for piece in batch.pieces or (batch,)]
        return next(error for error in errors if error is not None)

    def _error_of(self, piece: Batch) -> BaseException | None:
        if piece.kind == EXCEPTION:
            return self._failure(piece)
        self._slots.release(piece)
        if piece.kind != CRASHED:
            return None
        self._end(piece)
        return self._pool.crash(piece)

    def _failure(self, batch: Batch) -> BaseException:
        if not batch.note_bytes:  # nothing was written
            self._slots.release(batch)
            return self._pool.failure(batch, b"")
        lease = self._slots.lease(batch)
        return self._pool.failure(batch, note_of(lease, batch))

    def close(self) -> None:
        """Wake and end a loop that is waiting."""
        self._closed = True
