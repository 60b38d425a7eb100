"""The way of light items from the generator, in the parent, to the workers that make batches of
them. They stay where they lie until the batch is made, so that another worker can make it again.
"""

from __future__ import annotations

import ctypes
import errno
import os
import pickle
import weakref
from typing import Any, Protocol

import cloudpickle

from fastfeed._core import headroom
from fastfeed.errors import OutOfMemory, SourceError, gib

LIMITS = ""
"""Folder in which the kernel's limits of memory are looked up; the tests' stand in another."""

PLACE_BYTES = 1 << 32
PLACES = 1 << 25
"""In one epoch, in turn: many more than there can be tickets on their way."""
EPOCHS = 64
"""After so many, places are used again: a worker that is still at work on an epoch that was left
finds nothing, rather than another epoch's items."""
HEAD = 8
PAGE = 4096
FREE_AT = 4 << 20
"""So many bytes are written before pages are given back: that takes as long as ten items."""
FIRST_LOOK = 4096
"""Bytes that are read at once: all of most items."""
LARGE = 1 << 20
"""From here on it is worth the time to ask how much memory is left."""
PUNCH = 0x01 | 0x02
"""FALLOC_FL_KEEP_SIZE and FALLOC_FL_PUNCH_HOLE: give the pages back."""


class Shelf(Protocol):
    """Where light items wait for their worker."""

    def put(self, epoch: int, index: int, items: Any, oldest: int) -> None:
        """Lay down what a ticket needs, before it is posted; tickets before `oldest` need theirs no
        more. Parent only.
        """

    def clear(self) -> None:
        """Take everything away: tickets of an epoch that was left find nothing. Parent only."""

    def take(self, epoch: int, index: int) -> Any:
        """Return what a ticket needs; None if it is not there: its epoch was left."""

    def descriptors(self) -> list[int]:
        """Return what worker processes reach the shelf by."""

    def adopt(self, descriptors: list[int]) -> None:
        """Reach it by that."""

    def close(self) -> None:
        """Throw everything away: nobody comes any more. Parent only."""


class LocalShelf:
    """For threads and the calling thread, which share the items with the parent. None of them can
    die, so a taken item is gone.
    """

    def __init__(self) -> None:
        self._items: dict[tuple[int, int], Any] = {}

    def put(self, epoch: int, index: int, items: Any, oldest: int) -> None:
        """Lay items down as they are."""
        self._items[epoch, index] = items

    def clear(self) -> None:
        """Take all items away."""
        self._items.clear()

    def take(self, epoch: int, index: int) -> Any:
        """Return items, and keep them no longer."""
        return self._items.pop((epoch, index), None)

    def descriptors(self) -> list[int]:
        """Return nothing: there are no worker processes."""
        return []

    def adopt(self, descriptors: list[int]) -> None:
        """Nothing."""

    def close(self) -> None:
        """Let go of the items."""
        self._items.clear()


class SharedShelf:
    """For worker processes: a memfd of which only the pages that are written take up memory, so
    each ticket has a place of 4 GiB at an offset of its own. The parent alone gives pages back: a
    worker might do so late, when the place is another ticket's.

    Pickled without the descriptor, which comes by `adopt`.
    """

    def __init__(self) -> None:
        self._own(os.memfd_create("fastfeed-light", os.MFD_CLOEXEC))

    def _own(self, fd: int) -> None:
        self._fd = fd
        self._freed = 0  # of these tickets of the epoch the pages were given back
        self._kept_bytes = 0  # that were written since then
        self.close = weakref.finalize(self, os.close, fd)

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def put(self, epoch: int, index: int, items: Any, oldest: int) -> None:
        """Pickle items and write them to their place.

        Raises
        ------
        SourceError
            If they cannot be pickled.
        OutOfMemory
            If there is not enough memory.
        """
        packed = pack(items)
        size = len(packed)
        if size > LARGE:
            self._require_room(size)
        place = place_of(epoch, index)
        body = memoryview(size.to_bytes(HEAD, "little") + packed)
        written = 0
        try:
            while written < len(body):
                written += os.pwrite(self._fd, body[written:], place + written)
        except OSError as error:
            raise no_room(error, size) from error
        self._free(epoch, oldest, max(size, PAGE))

    def _free(self, epoch: int, oldest: int, added: int) -> None:
        """Give the pages of items back that no ticket from `oldest` on needs, from time to time."""
        self._kept_bytes += added
        if self._kept_bytes < FREE_AT:
            return
        self._kept_bytes = 0
        while self._freed < oldest:
            count = min(oldest - self._freed, PLACES - self._freed % PLACES)
            # Of no consequence if it fails: the pages go when the epoch is over.
            LIBC.fallocate(self._fd, PUNCH, place_of(epoch, self._freed), count * PLACE_BYTES)
            self._freed += count

    def _require_room(self, size: int) -> None:
        if size > PLACE_BYTES - HEAD or size > headroom(LIMITS):
            raise OutOfMemory(
                f"The generator gave items of {gib(size)} for one batch, but only "
                f"{gib(headroom(LIMITS))} may be used, and {gib(PLACE_BYTES)} at the most. Let it "
                "give what is light (a path, a number, an offset), and read the data in map."
            )

    def clear(self) -> None:
        """Give all pages back."""
        self._freed = self._kept_bytes = 0
        if self.close.alive:
            os.ftruncate(self._fd, 0)

    def take(self, epoch: int, index: int) -> Any:
        """Read items."""
        place = place_of(epoch, index)
        start = os.pread(self._fd, FIRST_LOOK, place)
        size = int.from_bytes(start[:HEAD], "little")
        if not size:  # past the end of what was written, or a hole
            return None
        parts, got = [start[HEAD : HEAD + size]], min(len(start) - HEAD, size)
        while got < size:
            parts.append(os.pread(self._fd, size - got, place + HEAD + got))
            if not parts[-1]:
                return None  # taken away meanwhile
            got += len(parts[-1])
        return pickle.loads(b"".join(parts) if len(parts) > 1 else parts[0])

    def descriptors(self) -> list[int]:
        """Return the memfd."""
        return [self._fd]

    def adopt(self, descriptors: list[int]) -> None:
        """Take over the memfd."""
        self._own(*descriptors)


LIBC = ctypes.CDLL(None)
LIBC.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
"""Python has no function for it."""


def place_of(epoch: int, index: int) -> int:
    """Return the offset at which a ticket's items lie."""
    return ((epoch % EPOCHS) * PLACES + index % PLACES) * PLACE_BYTES


def pack(items: Any) -> bytes:
    """Pickle items for a worker, which has no ``__main__`` of the user's: classes from there, and
    what plain pickle refuses, go by value.

    Raises
    ------
    SourceError
        If that does not work either.
    """
    try:
        packed = pickle.dumps(items, protocol=5)
        if b"__main__" not in packed:
            return packed
    except Exception:
        pass  # cloudpickle can do more; its error is the one to show
    try:
        by_value: bytes = cloudpickle.dumps(items, protocol=5)
    except Exception as error:
        raise SourceError(
            f"The generator gave something that cannot be sent to a worker process ({error}). Let "
            "it give what is light (a path, a number, an offset), and open files in map; or use "
            "threads: use_multiprocessing=False."
        ) from error
    return by_value


def no_room(error: OSError, size: int) -> OutOfMemory:
    """Say why items could not be written to shared memory."""
    cure = "Let it give what is light (a path, a number, an offset), and read the data in map."
    if error.errno == errno.EFBIG:
        cure = "The size of files is limited here: lift that by `ulimit -f unlimited`."
    return OutOfMemory(
        f"Items of {gib(size)} for one batch, which the generator gave, could not be sent to a "
        f"worker process ({error}). {cure}"
    )
