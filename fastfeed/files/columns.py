"""Columns: arrays in files, with one row a sample, that are read by row numbers.

A format only says how one of its arrays is opened and how rows of it are read. What has several
(a file's images and labels) is a tree of columns, which `ColumnReader` makes into a source.
"""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from fastfeed.errors import SourceError
from fastfeed.sources.rows import RowReader, Rows
from fastfeed.structure import ArraySpec, Tree, as_leaf, leaves, map_leaves

Array = npt.NDArray[Any]
Indices = npt.NDArray[np.int64]

Keys = str | list[str] | tuple[Any, ...] | dict[str, Any] | None
"""Which arrays of a file, and in what structure the batch has them: see `pick`."""

LISTED = 12
"""An error names so many of the arrays that a file has."""


class Column(ABC):
    """One array, opened in each worker.

    Parameters
    ----------
    name : str
        What errors call it.
    shape : tuple of int
        With the samples first.
    dtype : dtype
        In the byte order of this machine.

    Raises
    ------
    SourceError
        If it has no rows.
    """

    def __init__(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        require_rows(shape, name)
        self.name = name
        self.shape = shape
        self.dtype = dtype.newbyteorder("=")
        self.spec = ArraySpec(shape[1:], self.dtype)

    @abstractmethod
    def open(self) -> None:
        """Open it, in the worker; once more does no harm."""

    def close(self) -> None:  # noqa: B027  most columns need nothing
        """Let go of its file. A read that is going on ends well, and one after it opens it again:
        threads of two loaders may have the same column.
        """

    @abstractmethod
    def read(self, index: Indices, out: Array) -> None:
        """Write the rows `index`, of which one may come twice, to `out`."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Return what tells this data from other data."""


class ArrayColumn(Column):
    """An array in memory, beside columns that lie in files."""

    def __init__(self, array: Any) -> None:
        self._array: Array = np.asarray(as_leaf(array))
        super().__init__("An array", self._array.shape, fixed_size(self._array.dtype, "An array"))

    def open(self) -> None:
        """It is open."""

    def read(self, index: Indices, out: Array) -> None:
        """Copy rows."""
        take(self._array, index, out)

    def fingerprint(self) -> str:
        """Look at the ends only: to read all of it takes too long."""
        ends = self._array[[0, -1]].tobytes()
        return f"{self.shape} {self.dtype} {zlib.crc32(ends)}"


class ColumnReader(RowReader):
    """Reads batches of one column, or of a tree of columns with a row a sample each.

    Raises
    ------
    SourceError
        If they differ in length.
    """

    def __init__(self, columns: Tree) -> None:
        self._columns = columns
        self._n_samples = common_length(list(leaves(columns)))
        self.spec = map_leaves(lambda column: column.spec, columns)

    @property
    def n_samples(self) -> int:
        """How many samples there are."""
        return self._n_samples

    def __len__(self) -> int:
        return self._n_samples

    def open(self) -> None:
        """Open each column."""
        for column in leaves(self._columns):
            column.open()

    def close(self) -> None:
        """Close each column."""
        for column in leaves(self._columns):
            column.close()

    def read(self, rows: Rows) -> None:
        """Read each column."""
        for column, out in zip(leaves(self._columns), leaves(rows.out), strict=True):
            try:
                column.read(rows.index, out)
            except Exception as error:  # libraries do not say which file is damaged
                error.add_note(f"{column.name} was being read.")
                raise

    def fingerprint(self) -> str:
        """Join those of the columns."""
        return "; ".join(column.fingerprint() for column in leaves(self._columns))


def common_length(columns: list[Column]) -> int:
    """Return the number of rows.

    Raises
    ------
    SourceError
        If the columns differ in it.
    """
    lengths = {column.name: column.shape[0] for column in columns}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name}: {length}" for name, length in lengths.items())
        raise SourceError(
            f"Parts of one source must have the same number of rows. They have {shown}. Choose "
            "those that belong together (keys=... or columns=...)."
        )
    return columns[0].shape[0]


# -- reading --------------------------------------------------------------------------------


def take(array: Array, index: Indices, out: Array) -> None:
    """Copy rows that are known to be there."""
    if array.dtype == out.dtype:  # "clip": with "raise" NumPy would copy everything twice
        np.take(array, index, axis=0, out=out, mode="clip")
    else:
        out[...] = array[index]


def read_sorted(read: Callable[[Indices, Array], None], index: Indices, out: Array) -> None:
    """Read rows in any order with a function that wants ascending numbers, each once."""
    if bool(np.all(index[1:] > index[:-1])):
        read(index, out)
        return
    unique, places = np.unique(index, return_inverse=True)
    found = np.empty((len(unique), *out.shape[1:]), out.dtype)
    read(unique, found)
    np.take(found, places, axis=0, out=out, mode="clip")


def runs(ascending: Indices) -> Iterable[tuple[int, int, int]]:
    """Divide ascending numbers where one is missing: yield (place, first, how many)."""
    starts = np.concatenate(([0], np.flatnonzero(np.diff(ascending) != 1) + 1))
    counts = np.diff(starts, append=len(ascending))
    return zip(starts.tolist(), ascending[starts].tolist(), counts.tolist(), strict=True)


# -- checking -------------------------------------------------------------------------------


def require_rows(shape: tuple[int, ...], name: str) -> None:
    """Refuse an array that has no rows.

    Raises
    ------
    SourceError
        If it is empty, or a single number.
    """
    if not shape or not shape[0]:
        raise SourceError(
            f"{name} has no rows: its shape is {shape}. Along the first axis there must be a "
            "row for each sample, at least one."
        )


def fixed_size(dtype: np.dtype[Any], name: str) -> np.dtype[Any]:
    """Return the dtype if its values have a fixed size.

    Raises
    ------
    SourceError
        If they are Python objects: texts, or arrays that differ in length.
    """
    if dtype.hasobject:
        raise SourceError(
            f"{name} holds Python objects (texts, or arrays that differ in length), which have no "
            "fixed size. Store numbers, or texts of a fixed length (dtype 'S16'), leave it out "
            "(keys=...), or feed an object whose __getitem__ returns one sample."
        )
    return dtype


def pick(keys: Keys, names: list[str], one: Callable[[str], Any], where: str) -> Tree:
    """Return the tree that `keys` asks for, with ``one(name)`` in the place of each name.

    Parameters
    ----------
    keys : str, list, tuple, dict or None
        One name: the batch is an array. A tuple: a tuple of arrays, as Keras wants (x, y). A dict:
        a dict with the same keys. A list: a dict with these names. None: a dict of all there is.
    names : list of str
        What there is.
    where : str
        What errors call the file.

    Raises
    ------
    SourceError
        If a name is not there, or nothing is.
    """
    shown = ", ".join(names[:LISTED]) + (", ..." if len(names) > LISTED else "")
    if keys is None or isinstance(keys, list):
        keys = {name: name for name in (names if keys is None else keys)}
    for name in leaves(keys):
        if name not in names:
            raise SourceError(f"{where} has no {name!r}. It has: {shown or 'nothing'}.")
    if not list(leaves(keys)):
        raise SourceError(f"{where} has no array to choose. It has: {shown or 'nothing'}.")
    return map_leaves(one, keys)
