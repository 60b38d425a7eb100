"""HDF5 datasets, with h5py. Each worker opens the file itself: an open one cannot be sent."""

from __future__ import annotations

import functools
import os
from typing import Any

import numpy as np

from fastfeed.errors import SourceError
from fastfeed.files.columns import (
    LISTED,
    Array,
    Column,
    ColumnReader,
    Indices,
    Keys,
    fixed_size,
    pick,
    read_sorted,
    runs,
    take,
)
from fastfeed.files.paths import existing, require_unchanged, state_of
from fastfeed.packages import library
from fastfeed.sources.rows import RowReader
from fastfeed.structure import leaves, map_leaves

CHUNK_CACHE_BYTES = 32 << 20
"""HDF5 keeps so much of each dataset decompressed: 1 MiB, its default, is less than many chunks
have, and then each row of a chunk decompresses all of it again."""


def hdf5(path: str | os.PathLike[str], keys: Keys = None) -> RowReader:
    """Read datasets of an HDF5 file, with one row a sample.

    Parameters
    ----------
    path : path
        Each worker opens it for itself, for reading.
    keys : str, list, tuple, dict or None
        Which datasets, ``"group/x"`` for one inside of a group. A name: the batch is an array.
        ``("x", "y")``: a tuple of arrays. A dict of names, or a list of names: a dict. None: a
        dict of all datasets that lie in no group.

    Returns
    -------
    RowReader
        A source for `Loader`.

    Raises
    ------
    SourceError
        If there is no such file or dataset, it is open for writing, the datasets differ in length,
        or hold texts or arrays of variable length.
    LibraryMissing
        h5py is not installed.
    """
    with open_file(existing(path)) as file:
        return of_group(file, keys)


def open_file(path: str) -> Any:
    """Open a file for reading."""
    h5py = library("h5py", "HDF5")
    try:
        return h5py.File(path, "r", rdcc_nbytes=CHUNK_CACHE_BYTES)
    except OSError as error:
        if not h5py.is_hdf5(path) or "truncated" in str(error):
            raise SourceError(f"{path} is no HDF5 file, or it is cut off ({error}).") from error
        raise SourceError(
            f"{path} cannot be opened for reading ({error}). If it is open for writing, here or in "
            "another program, close it there first. A file system that cannot lock files needs "
            "HDF5_USE_FILE_LOCKING=FALSE in the environment."
        ) from error


def of_group(group: Any, keys: Keys = None) -> RowReader:
    """Return the reader of a file's or a group's datasets."""
    if not group:
        raise closed()
    h5py = library("h5py", "HDF5")

    def is_dataset(name: str) -> bool:
        try:
            return group.get(name, getclass=True) is h5py.Dataset
        except (RuntimeError, OSError, KeyError):  # a link to what is not there any more
            return False

    names = list(filter(is_dataset, group))
    if keys is not None:  # those inside of groups have to be named
        keys = map_leaves(lambda name: name.strip("/") if isinstance(name, str) else name, keys)
        names += [name for name in leaves(keys) if "/" in str(name) and is_dataset(name)]
    elif not names:
        names = inner_names(group)
        raise SourceError(
            f"{where(group)} has no dataset outside of its groups. Name those to be read, "
            f"keys=(...). It has: {', '.join(names) or 'nothing'}."
        )
    return ColumnReader(pick(keys, names, lambda name: HDF5Column(group[name]), where(group)))


def where(group: Any) -> str:
    """Return what errors call a group: its file's path, then its own."""
    return f"{group.file.filename}{group.name.rstrip('/')}"


def inner_names(group: Any) -> list[str]:
    """Return the names of a few datasets inside of groups."""
    found: list[str] = []

    def visit(name: str, node: Any) -> bool | None:
        if hasattr(node, "dtype"):
            found.append(name)
        return True if len(found) == LISTED else None  # HDF5 goes on for None

    group.visititems(visit)
    return found


class HDF5Column(Column):
    """One dataset.

    Parameters
    ----------
    dataset : h5py.Dataset
        Open now. Only its file's path and its own name are kept.
    """

    def __init__(self, dataset: Any) -> None:
        self._path = path_of(dataset)
        self._state = state_of(self._path)
        self._key = dataset.name
        name = f"{self._path}{dataset.name}"
        super().__init__(name, dataset.shape or (), fixed_size(dataset.dtype, name))
        self._offset = offset_of(dataset)
        self._opened: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}

    def open(self) -> None:
        """Map the values where they lie as they are in memory; open the dataset otherwise."""
        self._values()

    def close(self) -> None:
        """Let go of the file, which HDF5 closes when nobody reads it any more."""
        self._opened = None

    def _values(self) -> Any:
        """Return what is open, or open it."""
        opened = self._opened
        if opened is None:
            require_unchanged(self._path, self._state)
            if self._offset is None:
                opened = open_file(self._path)[self._key]
            else:
                opened = np.memmap(self._path, self.dtype, "r", self._offset, self.shape)
            self._opened = opened
        return opened

    def read(self, index: Indices, out: Array) -> None:
        """Read runs of neighbouring rows, each chunk of the file once."""
        values = self._values()
        if self._offset is not None:
            take(values, index, out)
        else:
            read_sorted(functools.partial(read_runs, values), index, out)

    def fingerprint(self) -> str:
        """Name the file, the dataset and what it holds."""
        return f"{self._state} {self._key} {self.shape} {self.dtype}"


def read_runs(dataset: Any, ascending: Indices, out: Array) -> None:
    """Read rows: faster than one selection of many, which HDF5 compares with all chunks."""
    for place, first, count in runs(ascending):
        out[place : place + count] = dataset[first : first + count]


def path_of(dataset: Any) -> str:
    """Return the path of an open dataset's file.

    Raises
    ------
    SourceError
        If a worker could not open it.
    """
    if not dataset:
        raise closed()
    file = dataset.file
    if file.driver in ("core", "fileobj"):
        raise SourceError(
            f"The HDF5 file {file.filename!r} lies in this process's memory alone, where no worker "
            "can open it. Pass the arrays themselves: dataset[...]."
        )
    if file.mode != "r":
        raise SourceError(
            f"The HDF5 file {file.filename} is open for writing (mode {file.mode!r}), so no worker "
            "can open it. Close it and pass its path, fastfeed.files.hdf5(path, keys), or open it "
            "for reading: h5py.File(path, 'r')."
        )
    return existing(file.filename)


def closed() -> SourceError:
    """Say what to pass in place of a file that was closed."""
    return SourceError(
        "The HDF5 file is closed, so nothing tells where it lies. Pass its path: "
        "fastfeed.files.hdf5(path, keys)."
    )


def offset_of(dataset: Any) -> int | None:
    """Return where the values lie in the file, one after the other; None if they do not."""
    h5py = library("h5py", "HDF5")
    properties = dataset.id.get_create_plist()
    in_memory = h5py.h5t.py_create(dataset.dtype.newbyteorder("="), logical=True)
    if (
        properties.get_layout() != h5py.h5d.CONTIGUOUS
        or properties.get_external_count()
        or dataset.file.driver not in ("sec2", "stdio")
        or dataset.id.get_type() != in_memory
    ):
        return None
    offset: int | None = dataset.id.get_offset()
    return offset
