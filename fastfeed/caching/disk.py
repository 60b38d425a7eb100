"""Samples in a folder: made once, for this run and the next ones, of any number of jobs."""

from __future__ import annotations

import struct
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from fastfeed.caching import proof
from fastfeed.caching.base import Cache, CacheUse, Rows
from fastfeed.caching.folder import (
    cannot_be_opened,
    damaged,
    environments,
    file_bytes,
    identity,
    prepare,
)
from fastfeed.caching.looks import Array, Look, Looks
from fastfeed.caching.writing import PAGE, CacheWriter
from fastfeed.errors import ArgumentError, CacheError, gib
from fastfeed.structure import Tree, is_leaf, leaves, map_leaves

HEADER = struct.Struct("<qQQ")
"""Stamp, bytes of the note, bytes of the data."""
HEADER_BYTES = 48
"""LMDB puts 16 bytes of its own before a large value, so the data start at a multiple of 64."""
LEAST_PAGES = 6
"""Of a database with one small entry besides what tells of its source."""


class DiskCache(Cache):
    """Keeps samples in an LMDB database.

    Parameters
    ----------
    path : str
        Folder: new, empty, or of this source.
    n_items : int
        Samples of the source.
    fingerprint : str
        Of the source.
    budget : int, optional
        Bytes that the file may have. Default: as much as the disk has, but for what others need.

    Raises
    ------
    CacheError
        If the folder cannot be used, or the cache in it was made of something else.
    """

    has_stamps = True

    def __init__(
        self, path: str, n_items: int, fingerprint: str, budget: int | None = None
    ) -> None:
        self._budget = budget
        self._folder = prepare(path, fingerprint, n_items)
        self._file = identity(self._folder)
        self._in_worker = False
        self._open()

    def _open(self) -> None:
        self._environment = environments.open(self._folder)
        # Also if nobody calls `close`, because what was to use this could not be made.
        self._close_environment = weakref.finalize(self, environments.close, self._environment)
        self._writer = CacheWriter(self._environment, self._folder, self._budget)
        self._looks = Looks()
        self._is_open = True
        self._has_added = False
        self._to_compare = proof.SAMPLES

    def __getstate__(self) -> dict[str, Any]:
        own = {"_folder": self._folder, "_file": self._file, "_budget": self._budget}
        return {**own, "_in_worker": True}

    def adopt(self, descriptors: list[int]) -> None:
        """Open the database in a worker process."""
        if identity(self._folder) != self._file:  # whose samples these are, nobody has compared
            raise CacheError(
                f"The cache in {self._folder} was deleted or replaced while a Loader had it open. "
                "Make a new Loader."
            )
        try:
            self._open()
        except Exception as error:
            raise cannot_be_opened(self._folder, error) from error

    def close(self) -> None:
        """Write what was added, and close the database."""
        if self._is_open:
            self._writer.close()
            self._last_use = self.use()
            self._is_open = False
            self._close_environment()

    # -- samples ------------------------------------------------------------------------------

    def find(self, row: int, stamp: int = 0) -> Tree | None:
        """Return sample `row`."""
        try:
            found = self._value(row)
            if found is None:
                return None
            made_of, note, value = found
            kept = map_leaves(
                lambda leaf: (
                    array_of(value, leaf.offset, leaf.shape, leaf.dtype) if is_leaf(leaf) else leaf
                ),
                self._looks.skeleton(note),
            )
        except Exception as error:  # of LMDB, or of what a broken note brings about
            raise damaged(self._folder, row, error) from error
        if made_of != stamp:
            raise CacheError(
                f"The cache in {self._folder} is older than its files: that of sample {row} has "
                "changed since. Delete the folder, or give another."
            )
        return kept

    def checked(self, row: int, kept: Tree, make: Callable[[], Tree]) -> Tree:
        """Return a sample that was found; this process's first ones are compared with new ones."""
        if self._to_compare:
            self._to_compare -= 1
            proof.compare(kept, make(), row, self._folder)
        return kept

    def _value(self, row: int) -> tuple[int, bytes, memoryview] | None:
        """Return stamp, note, and the whole value."""
        value: Any = self._writer.get(key_of(row))
        if value is None:
            with self._environment.begin(buffers=True) as transaction:
                value = transaction.get(key_of(row))
                if value is None:
                    return None
                # A worker's database is open until its process ends; ours may be closed before.
                # And a small value may be moved, while one of a page or more has its own pages.
                if not self._in_worker or len(value) < PAGE:
                    value = bytes(value)
        value = memoryview(value).toreadonly()
        stamp, note_bytes, data_bytes = HEADER.unpack_from(value)
        start = HEADER_BYTES + data_bytes
        return stamp, bytes(value[start : start + note_bytes]), value

    def add(self, row: int, sample: Tree, stamp: int = 0) -> None:
        """Write a sample, soon."""
        if self._writer.is_full:
            return
        look, arrays = self._looks.of(sample)
        value = packed(look, arrays, stamp)
        if self._budget is None or len(value) + LEAST_PAGES * PAGE <= self._budget:
            self._writer.add(key_of(row), value)
            self._has_added = True
        elif not (self._has_added or self.use().samples):
            raise ArgumentError(
                f"A sample takes {gib(len(value))} in the cache, and the database itself "
                f"{gib(LEAST_PAGES * PAGE)}. Give cache_budget as many times the size of a sample "
                "as it is to hold, or leave it out.",
                f"cache_budget={self._budget} ({gib(self._budget)})",
            )

    def gather(self, rows: Rows, out: Tree) -> npt.NDArray[np.bool_]:
        """Copy the samples that are there."""
        done = np.zeros(len(rows), bool)
        look = self._looks.of_rows(out)
        if look is None:
            return done
        for i, row in enumerate(rows.tolist()):
            try:
                found = self._value(row)
            except Exception as error:
                raise damaged(self._folder, row, error) from error
            if found is not None and found[1] == look.note:
                for array, offset in zip(leaves(out), look.offsets, strict=True):
                    array[i] = array_of(found[2], offset, array.shape[1:], array.dtype)
                done[i] = True
        return done

    def use(self) -> CacheUse:
        """Return how it is used so far, or was when it was closed."""
        if not self._is_open:
            return self._last_use
        entries = self._environment.stat()["entries"]
        return CacheUse(entries - 1, file_bytes(self._environment), self._budget)


def key_of(row: int) -> bytes:
    """Return the key of a sample; what tells of the source has a shorter one."""
    return row.to_bytes(8, "big")


def packed(look: Look, arrays: list[Array], stamp: int) -> bytearray:
    """Return the value of a sample: header, arrays, note."""
    value = bytearray(HEADER_BYTES + look.data_bytes + len(look.note))
    HEADER.pack_into(value, 0, stamp, len(look.note), look.data_bytes)
    for offset, array in zip(look.offsets, arrays, strict=True):
        array_of(value, offset, array.shape, array.dtype)[...] = array
    value[HEADER_BYTES + look.data_bytes :] = look.note
    return value


def array_of(
    value: bytearray | memoryview, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Array:
    """Return one array of a value, as a view."""
    return np.ndarray(shape, dtype, value, HEADER_BYTES + offset)
