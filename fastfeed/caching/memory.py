"""Samples in shared memory: one copy for all workers, within a budget."""

from __future__ import annotations

import errno
import os
import warnings
import weakref
from typing import Any

import numpy as np
import numpy.typing as npt

from fastfeed._core import CacheMemory, cache_overhead, create_cache, headroom, views
from fastfeed.caching.base import Cache, CacheUse, Rows
from fastfeed.caching.looks import Looks
from fastfeed.errors import ArgumentError, CoreError, OutOfMemory, gib
from fastfeed.structure import ArrayLeaf, Tree, leaves

LIMITS = ""
"""Folder in which the kernel's limits of memory are looked up; the tests' stand in another."""

HEADER_BYTES = 64
"""Stand before each sample: `ff_cache_entry`."""

MOST_COLUMNS = 64
"""Samples of more arrays than this are not copied natively."""

MOST_NOTES = 1024
"""So many looks a worker remembers; samples of others carry their note with them."""


class MemoryCache(Cache):
    """Keeps samples until its budget is used up; nothing is ever thrown out.

    Parameters
    ----------
    n_items : int
        Samples of the source.
    budget : int, optional
        Bytes of shared memory that it may take; only what is needed is taken. Default: half of
        what is free.

    Raises
    ------
    OutOfMemory
        If the budget is more than may be used.
    ArgumentError
        If not even a table of the samples fits into it.
    """

    def __init__(self, n_items: int, budget: int | None = None) -> None:
        self._budget = headroom(LIMITS) // 2 if budget is None else budget
        self._table_bytes = cache_overhead(n_items)
        if self._budget <= self._table_bytes:
            raise too_small(HEADER_BYTES, self._budget, self._table_bytes)
        try:
            self._fd = create_cache(n_items, self._budget, LIMITS)
        except MemoryError as error:
            raise OutOfMemory(
                f"cache_budget asks for {gib(self._budget)} of shared memory, but only "
                f"{gib(headroom(LIMITS))} may be used (four fifths of what is free here or in this "
                'container). Lower cache_budget, or cache on disk: cache="disk:FOLDER".'
            ) from error
        self._close_fd = weakref.finalize(self, os.close, self._fd)
        self._open(CacheMemory(self._fd, LIMITS))

    def _open(self, memory: CacheMemory) -> None:
        self._memory = memory
        self._looks = Looks()
        self._notes: dict[bytes, int] = {}  # where this process has written them
        self._is_short = False

    # -- on the way to the workers ------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        return {"_budget": self._budget, "_table_bytes": self._table_bytes}

    def descriptors(self) -> list[int]:
        """Return the descriptor of the memory."""
        return [self._fd]

    def adopt(self, descriptors: list[int]) -> None:
        """Map the memory that the parent has made."""
        (self._fd,) = descriptors
        self._close_fd = weakref.finalize(self, os.close, self._fd)
        self._open(CacheMemory(self._fd, LIMITS))

    def close(self) -> None:
        """Close the descriptor; the memory goes with the last array over it."""
        self._close_fd()

    # -- samples ------------------------------------------------------------------------------

    def find(self, row: int, stamp: int = 0) -> Tree | None:
        """Return sample `row` as views of the shared memory."""
        found = self._memory.find(row)
        if found is None:
            return None
        start, note = found
        return views(self._memory, start, self._looks.skeleton(note), ArrayLeaf)

    def add(self, row: int, sample: Tree, stamp: int = 0) -> None:
        """Copy a sample into the shared memory, if there is room."""
        if not self._memory.begin_sample(row):
            return  # what is taken is never given back
        look, arrays = self._looks.of(sample)
        note = self._notes.get(look.note)
        n_bytes = HEADER_BYTES + look.data_bytes + (len(look.note) if note is None else 0)
        place = self._take(n_bytes)
        if place is None:
            return
        start = place + HEADER_BYTES
        for offset, array in zip(look.offsets, arrays, strict=True):
            self._memory.copy_in(start + offset, np.ascontiguousarray(array))
        if note is None:
            note = start + look.data_bytes
            self._memory.copy_in(note, look.note)
            if look.is_shared and len(self._notes) < MOST_NOTES:
                self._notes[look.note] = note
        self._memory.write_entry(place, note, len(look.note), look.data_bytes)
        self._memory.publish(row, place)

    def _take(self, n_bytes: int) -> int | None:
        """Take room for a sample; None: there is none left."""
        try:
            return self._memory.take(n_bytes)
        except MemoryError:
            self._warn_short()
        except CoreError as error:
            if error.errno not in (errno.ENOSPC, errno.EFBIG):
                raise
            if error.errno == errno.EFBIG and not self._memory.entries:
                raise too_small(n_bytes, self._budget, self._table_bytes) from None
        return None

    def _warn_short(self) -> None:
        if not self._is_short:
            self._is_short = True
            warnings.warn(
                f"The cache in memory stops growing at {gib(self._memory.used)} of "
                f"{gib(self._budget)}: memory has become short, {gib(headroom(LIMITS))} may still "
                "be used. Samples beyond it are made again in each epoch. Lower cache_budget, end "
                'other programs, or cache on disk: cache="disk:FOLDER".',
                RuntimeWarning,
                stacklevel=2,
            )

    def gather(self, rows: Rows, out: Tree) -> npt.NDArray[np.bool_]:
        """Copy the samples that are there, without the GIL."""
        done = np.zeros(len(rows), bool)
        look = self._looks.of_rows(out)
        if look is not None and len(look.offsets) <= MOST_COLUMNS:
            columns = list(zip(leaves(out), look.offsets, strict=True))
            self._memory.copy_rows(rows, look.note, columns, done.view(np.uint8))
        return done

    def use(self) -> CacheUse:
        """Return how it is used so far."""
        memory = self._memory
        return CacheUse(memory.entries, memory.used, self._budget, memory.hits, memory.misses)


def too_small(n_bytes: int, budget: int, table_bytes: int) -> ArgumentError:
    """Return the error for a budget that has no room for one sample."""
    return ArgumentError(
        f"A sample takes {gib(n_bytes)} in the cache, but cache_budget leaves "
        f"{gib(max(0, budget - table_bytes))} for all of them; {gib(table_bytes)} are for the "
        "table of where each is. Give it as many times the size of a sample as it is to hold, or "
        "leave cache out.",
        f"cache_budget={budget}",
    )
