"""The parent's books of slots: how many, how large, which segment, who gets a copy.

All slots of a loader lie in one segment, made when the size of a batch is known: from the source's
spec, or from its first batch, which comes in a segment of its own. When a batch turns out larger,
a new segment takes over and the old one goes when its last user is gone.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from fastfeed._core import (
    NO_SEGMENT,
    Batch,
    Belt,
    DeviceLease,
    Lease,
    Segment,
    create_memory,
    headroom,
    private_lease,
)
from fastfeed.devices.handover import copy_out
from fastfeed.errors import OutOfMemory, gib
from fastfeed.workers.pool import Pool

PAGE = 4096
NOTE_ROOM = 1024
"""Spare bytes behind the arrays: notes differ a little from batch to batch."""
GROWTH = 1.25
"""A batch that was too large is probably not the largest."""
LEAST_AHEAD = 2
"""One in the making while the other is waited for."""
FEW = 2
"""With fewer slots than this left to the workers, batches that the user keeps are copied."""

LIMITS = ""
"""Folder in which the kernel's limits of memory are looked up; the tests' stand in another."""


class Reader(Protocol):
    """Who else reads slots: a device."""

    @property
    def node(self) -> int:
        """The memory node next to it; -1: there is only one."""

    def announce(self, number: int, segment: Segment) -> None:
        """Learn of a new segment, before any ticket names it."""

    def retire(self, number: int) -> None:
        """Forget a segment that no ticket names any more."""


@dataclass(frozen=True)
class SlotCount:
    """How many slots there are.

    Attributes
    ----------
    ahead, kept : int
        For batches ahead of the consumer, and for those that it keeps.
    memory_bytes : int or None
        That those ahead may take: then `ahead` is the most, and there are fewer where they do not
        fit. None: as many as were asked for.
    """

    ahead: int
    kept: int
    memory_bytes: int | None = None

    @property
    def most(self) -> int:
        """However small they are."""
        return self.ahead + self.kept

    def of(self, slot_bytes: int) -> int:
        """Return the number of slots of this size."""
        if self.memory_bytes is None:
            return self.most
        fit = min(self.memory_bytes, headroom(LIMITS) // 2) // slot_bytes
        return self.kept + min(self.ahead, max(LEAST_AHEAD, fit))


class Slots:
    """Owns the slots that the belt gives to tickets; gives leases to batches.

    Parameters
    ----------
    count : SlotCount
        How many: those ahead of the consumer and those that it may keep.
    pool, belt : Pool, Belt
        Are told of each new segment.
    collect_garbage : callable or None
        Called when slots run low, for frameworks that leave batches in reference cycles.
    reader : Reader or None
        Is told of each new segment too.

    Attributes
    ----------
    count, kept : int
        Slots there are, and those of them that the consumer may keep.
    slot_bytes : int
        Of each; 0 as long as the size of a batch is not known.
    """

    def __init__(
        self,
        count: SlotCount,
        pool: Pool,
        belt: Belt,
        collect_garbage: Callable[[], object] | None = None,
        reader: Reader | None = None,
    ) -> None:
        self._count = count
        self.count = count.most
        self.kept = count.kept
        self.slot_bytes = 0
        self._pool = pool
        self._belt = belt
        self._collect_garbage = collect_garbage
        self._reader = reader
        self._poison = os.environ.get("FASTFEED_DEBUG", "0") not in ("", "0")
        self._segments: dict[int, Segment] = {}
        self._current = -1
        self._has_copied = False

    @property
    def sized(self) -> bool:
        """The size of a batch is known."""
        return self._current >= 0

    # -- batches ----------------------------------------------------------------------------

    def release(self, batch: Batch) -> None:
        """Give back what belongs to a batch that nobody will see."""
        if batch.uploaded:
            batch.device_lease()  # and drop it
            self._retire_unbound()
            return
        if batch.spilled:
            self._pool.collect(batch)
        self._release_slot(batch)

    def _release_slot(self, batch: Batch) -> None:
        if batch.segment != NO_SEGMENT and batch.is_last:  # the slot of all its parts
            segment = self._segments[batch.segment]
            segment.release(batch.offset // segment.stride)
            self._retire_unbound()

    def _retire_unbound(self) -> None:
        """Let go of former segments that no ticket names any more; leases keep theirs alive."""
        if len(self._segments) == 1:
            return
        former = [number for number in self._segments if number != self._current]
        for number in former:
            if not self._segments[number].bound:
                del self._segments[number]
                self._pool.retire(number)
                if self._reader is not None:
                    self._reader.retire(number)

    def lease(self, batch: Batch) -> Lease:
        """Return a lease on a finished batch; its bytes start at offset 0."""
        if batch.spilled:
            lease = self._pool.collect(batch)
            self._release_slot(batch)
            return lease
        segment = self._segments[batch.segment]
        lease = segment.lease(batch.offset // segment.stride)
        self._retire_unbound()
        return lease

    def users_lease(self, batch: Batch) -> Lease:
        """Return the same for the user, who may keep it."""
        lease = self.lease(batch)
        return lease if batch.spilled or not self._few_left() else self._spare(lease, batch)

    def device_lease(self, batch: Batch) -> DeviceLease:
        """Return the lease of a batch that was uploaded; its slot is none of our business now."""
        self._retire_unbound()
        return batch.device_lease()

    def _few_left(self) -> bool:
        segment = self._segments[self._current]
        return self.count - (segment.in_use - segment.bound) < FEW

    def _spare(self, lease: Lease, batch: Batch) -> Lease:
        """The user keeps batches: give this one as a copy, so that the workers can go on."""
        if self._collect_garbage is not None:
            self._collect_garbage()
            if not self._few_left():
                return lease
        if not self._has_copied:
            self._has_copied = True
            warnings.warn(
                f"All but {FEW} of {self.count} slots hold batches that are still referenced, so "
                "further batches are handed out as copies. That is right for list(loader); in a "
                "training loop, drop each batch before the next, or raise max_queue_size.",
                UserWarning,
                stacklevel=2,
            )
        return copy_out(lease, batch.end, private_lease)

    # -- sizes ------------------------------------------------------------------------------

    def fit(self, n_bytes: int) -> None:
        """Make sure that batches of `n_bytes` (arrays and note) have room from now on.

        Raises
        ------
        OutOfMemory
            If there is not enough memory for that many slots.
        """
        if not self.sized:
            self._make_segment(n_bytes + NOTE_ROOM)
        elif n_bytes > self.slot_bytes:
            warnings.warn(
                f"A batch of {gib(n_bytes)} is larger than its slot of {gib(self.slot_bytes)}; "
                f"making {self.count} larger slots. Batches of very different sizes cost memory: "
                "every slot is as large as the largest batch.",
                UserWarning,
                stacklevel=2,
            )
            self._make_segment(int(n_bytes * GROWTH))

    def _make_segment(self, slot_bytes: int) -> None:
        stride = -(-slot_bytes // PAGE) * PAGE
        self.count = self._count.of(stride)
        fd = self._memory(stride)
        try:
            segment = Segment(fd, stride, self.count, self._poison)
            self.slot_bytes = stride
            self._current += 1
            self._segments[self._current] = segment
            self._pool.announce(self._current, segment, fd)
            if self._reader is not None:
                self._reader.announce(self._current, segment)
            self._belt.use(segment, self._current, self.count - FEW)
            self._retire_unbound()
        finally:
            os.close(fd)

    def _memory(self, stride: int) -> int:
        total = stride * self.count
        try:
            node = -1 if self._reader is None else self._reader.node
            return create_memory("fastfeed-slots", total, LIMITS, node)
        except MemoryError as error:
            raise OutOfMemory(
                f"{self.count} slots of {gib(stride)} need {gib(total)} of shared memory, but only "
                f"{gib(headroom(LIMITS))} may be used (four fifths of what is free here or in this "
                "container). Lower max_queue_size, the batch size, or end other programs."
            ) from error

    def close(self) -> None:
        """Let go of all segments; batches that the user still has stay valid. No worker is left
        that could write to the slots of the tickets that nobody took.
        """
        for segment in self._segments.values():
            segment.release_all()
        self._segments.clear()
        self._belt.close()
