"""Puts a batch into its slot.

A slot holds the arrays from its start on, each at a multiple of 64 bytes, and behind them the note.
Where that does not fit, the batch spills: it travels in a segment of its own, and the parent
learns from it how large slots have to be. The first batches of a source always do, because nobody
knows their size before; no other probing is needed.

Of a batch in parts every worker writes its rows to the same slot; the first part's note is the
note of all, and the others only say which one they expect. What a part has for itself (objects, an
exception) spills, because the slot is no longer this worker's alone.
"""

from __future__ import annotations

import hashlib
from typing import Any, Protocol

import numpy as np

from fastfeed._core import DATA, EXCEPTION, NO_SEGMENT, Claim, Memory, Ring, views
from fastfeed.structure import ArrayLeaf, Layout, Layouts, Tree, is_leaf, leaf_bytes, leaves


class Room(Protocol):
    """Where a worker gets the memory that it writes to; one for each kind of worker."""

    def slot(self, claim: Claim) -> Memory:
        """Return the segment that a ticket names; its slot is ready to be written."""

    def spill(self, n_bytes: int) -> Memory:
        """Return a new segment for a batch that does not fit its slot."""

    def send_spill(self, sequence: int) -> None:
        """Give the last new segment to the parent, before the ticket is published."""

    def pack_failure(self, error: BaseException, sequence: int) -> bytes:
        """Return the note for an exception."""


class SlotWriter:
    """Writes one batch after the other; see `fastfeed.sources.base.Writer`.

    Attributes
    ----------
    is_published : bool
        The ticket is no longer ours. Set before it is so, with no call in between that Python
        could answer a signal after.
    """

    def __init__(self, ring: Ring, room: Room) -> None:
        self._ring = ring
        self._room = room
        self._layouts = Layouts()
        self._claim: Claim
        self._memory: Memory
        self._base = 0
        self._limit = 0
        self._spilled = False
        self.is_published = False

    def start(self, claim: Claim) -> None:
        """Begin with a ticket."""
        self._claim = claim
        self.is_published = self._spilled = False
        if claim.segment == NO_SEGMENT:
            self._base = self._limit = 0
        else:
            self._memory = self._room.slot(claim)
            self._base = claim.offset
            self._limit = self._base + claim.capacity

    # -- called by sources ------------------------------------------------------------------

    def write(self, batch: Tree) -> None:
        """Copy a finished batch into the slot and publish it."""
        like = self._layouts.pattern
        if like and self._limit and like.write(self._memory, self._base, self._limit, batch):
            self.is_published = True
            self._ring.publish(self._claim, DATA, like.data_bytes, like.note_bytes)
        else:
            self._write_anew(batch)

    def _write_anew(self, batch: Tree) -> None:
        """Write a batch that differs from the one before."""
        layout, arrays = self._layouts.find(batch)
        self._make_room(layout.data_bytes + len(layout.note))
        end = 0
        for array in arrays:
            self._put(end, array)
            end += -(-array.nbytes // 64) * 64
        self.commit(layout)

    def reserve(self, layout: Layout) -> Tree:
        """Return the slot's arrays, to be filled in place."""
        self._make_room(layout.data_bytes + len(layout.note))
        return layout.views(self._memory, self._base)

    def gather(
        self, leaf: ArrayLeaf, array: np.ndarray[Any, Any], rows: Any, first: int = 0
    ) -> None:
        """Copy rows of an array to its place in the slot."""
        row_bytes = leaf_bytes(leaf) // leaf.shape[0]
        self._memory.gather(self._base + leaf.offset + first * row_bytes, array, rows)

    def commit(self, layout: Layout, failed: int = 0) -> None:
        """Write the note behind the arrays and publish."""
        if self._claim.parts > 1 and not self._spilled and has_objects(layout):
            self._move(layout.data_bytes, layout.data_bytes + len(layout.note))
        number = number_of(layout.common or layout.note) if self._claim.parts > 1 else 0
        self._publish(DATA, layout.data_bytes, layout.note, failed, number)

    # -- called by the worker's loop --------------------------------------------------------

    def fail(self, error: BaseException) -> None:
        """Publish an exception in the batch's place."""
        note = self._room.pack_failure(error, self._claim.sequence)
        self._spilled = False  # what was half written is of no use
        self.start(self._claim)
        if note and self._claim.parts > 1:
            self._spill(len(note))
        else:
            self._make_room(len(note))
        self._publish(EXCEPTION, 0, note)

    # -- inside -----------------------------------------------------------------------------

    def _make_room(self, n_bytes: int) -> None:
        if n_bytes > self._limit - self._base:
            self._spill(n_bytes)

    def _spill(self, n_bytes: int) -> None:
        self._memory = self._room.spill(n_bytes)
        self._base, self._limit = 0, len(self._memory)
        self._spilled = True

    def _put(self, offset: int, array: np.ndarray[Any, Any]) -> None:
        if array.flags.c_contiguous:
            self._memory.copy_in(self._base + offset, array)
        else:
            leaf = ArrayLeaf(offset, array.shape, array.dtype)
            np.copyto(views(self._memory, self._base, leaf, ArrayLeaf), array)

    def _publish(
        self, kind: int, data_bytes: int, note: bytes, failed: int = 0, number: int = 0
    ) -> None:
        note_bytes = len(note)
        if self._base + data_bytes + note_bytes > self._limit:
            self._move(data_bytes, data_bytes + note_bytes)
        claim = self._claim
        if note and (self._spilled or not claim.part):
            self._memory.copy_in(self._base + data_bytes, note)
        if self._spilled:
            self._room.send_spill(claim.sequence)
        self.is_published = True
        self._ring.publish(claim, kind, data_bytes, note_bytes, self._spilled, failed, number)

    def _move(self, data_bytes: int, needed: int) -> None:
        """The note does not fit, or has no place in the slot: take the arrays along elsewhere."""
        written = memoryview(self._memory)[self._base : self._base + data_bytes]
        self._spill(needed)
        self._memory.copy_in(0, written)


def has_objects(layout: Layout) -> bool:
    """Tell whether the note holds more than a description of arrays."""
    return not all(map(is_leaf, leaves(layout.skeleton)))


def number_of(note: bytes) -> int:
    """Return 64 bits that are the same for the same note, in every process."""
    return int.from_bytes(hashlib.blake2b(note, digest_size=8).digest(), "little")
