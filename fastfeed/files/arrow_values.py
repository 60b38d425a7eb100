"""Columns of Arrow tables as NumPy arrays: views of Arrow's memory where that is possible."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fastfeed.errors import SourceError
from fastfeed.files.columns import Array, Column, Indices, take
from fastfeed.packages import library


def is_numeric(kind: Any) -> bool:
    """Tell whether values of an Arrow type have a fixed size, or are lists of such."""
    types = library("pyarrow.types", "Arrow")
    if hasattr(kind, "storage_type"):
        return is_numeric(kind.storage_type)
    if types.is_fixed_size_list(kind) or types.is_list(kind) or types.is_large_list(kind):
        return is_numeric(kind.value_type)
    is_time = types.is_timestamp(kind) or types.is_duration(kind) or types.is_date(kind)
    number = types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)
    return bool(number or is_time)


def require_numeric(kind: Any, name: str) -> None:
    """Refuse a column whose values have no fixed size.

    Raises
    ------
    SourceError
        If they are texts, structures, ...
    """
    if not is_numeric(kind):
        raise SourceError(
            f"The column {name!r} is of the type {kind}: no number, nor a list of numbers. Leave "
            "it out (columns=[...]), or turn it into numbers before: texts and categories by "
            "column.dictionary_encode().combine_chunks().indices, decimals by "
            "column.cast('float64'), structures by table.flatten(). A "
            "datasets.Dataset.from_parquet(...) gives such values as they are, sample by sample."
        )


def as_numpy(array: Any, name: str) -> Array:
    """Return an Arrow array of numbers, or of lists of the same length, with a row a value.

    Raises
    ------
    SourceError
        If a value is missing (null), or lists differ in length.
    """
    if array.null_count:
        raise SourceError(
            f"The column {name!r} has missing values (null): {array.null_count} of {len(array)} "
            "where it was read. Fill them (table column .fill_null(0)) or drop those rows."
        )
    kind = array.type
    if hasattr(array, "to_numpy_ndarray"):  # a tensor of fixed shape
        return np.ascontiguousarray(array.to_numpy_ndarray())
    if hasattr(kind, "storage_type"):
        return as_numpy(array.storage, name)
    if hasattr(kind, "value_type"):
        length = common_list_length(array, name)
        values = as_numpy(array.flatten(), name)
        return values.reshape(len(array), length, *values.shape[1:])
    numbers: Array = array.to_numpy(zero_copy_only=False)
    return numbers


def common_list_length(array: Any, name: str) -> int:
    """Return how many values each list has.

    Raises
    ------
    SourceError
        If they differ.
    """
    if hasattr(array.type, "list_size"):
        return int(array.type.list_size)
    lengths = array.value_lengths().to_numpy(zero_copy_only=False)
    least, most = int(lengths.min()), int(lengths.max())
    if least != most:
        raise ragged(name, f"{least} to {most}")
    return least


def ragged(name: str, lengths: str) -> SourceError:
    """Say that lists differ in length, and what can be done."""
    return SourceError(
        f"The column {name!r} holds lists of {lengths} values; the rows of a batch have one shape. "
        "Pad or cut them to one length before (a tokenizer: padding='max_length')."
    )


class ArrowColumn(Column):
    """One column of a table that lies in memory, or in a mapped file.

    Parameters
    ----------
    find : callable
        ``find(name)`` returns the column, a `pyarrow.ChunkedArray`; called in each worker.
    name : str
    place : str
        What tells the table from others: for the fingerprint.
    dtype : dtype or None
        What the batch shall have, if that is not the column's own.
    rows : array of int64 or None
        The table's row for each sample, if that is not its number.

    Raises
    ------
    SourceError
        If there is no row, values are missing, or their size is not the same everywhere.
    """

    def __init__(
        self,
        find: Callable[[str], Any],
        name: str,
        place: str,
        dtype: Any = None,
        rows: Indices | None = None,
    ) -> None:
        self._find = find
        self._key = name
        self._place = place
        self._rows = rows
        self._pieces: list[Array] = []
        self._starts = np.zeros(0, np.int64)
        column = find(name)
        require_numeric(column.type, name)
        shape, found = self._check(column)
        n_samples = len(column) if rows is None else len(rows)
        super().__init__(f"The column {name!r}", (n_samples, *shape), np.dtype(dtype or found))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_pieces": [], "_starts": np.zeros(0, np.int64)}

    def _check(self, column: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """Return the shape and dtype that all chunks have; nothing of them is kept."""
        first: Array | None = None
        for piece in chunks(column, self._key):
            if first is None:
                first = piece[:1]
            elif piece.shape[1:] != first.shape[1:]:
                raise ragged(self._key, f"{first.shape[1:]} and {piece.shape[1:]}")
        return ((), np.dtype(np.int8)) if first is None else (first.shape[1:], first.dtype)

    def open(self) -> None:
        """Look at the table's memory as NumPy arrays, one for each chunk."""
        if not self._pieces:
            pieces = list(chunks(self._find(self._key), self._key))
            self._starts = np.cumsum([0, *map(len, pieces)])
            self._pieces = pieces

    def read(self, index: Indices, out: Array) -> None:
        """Copy rows, chunk by chunk."""
        rows = index if self._rows is None else self._rows[index]
        if len(self._pieces) == 1:
            take(self._pieces[0], rows, out)
            return
        for chunk, places in by_part(self._starts, rows):
            out[places] = self._pieces[chunk][rows[places] - self._starts[chunk]]

    def fingerprint(self) -> str:
        """Name the table, the column, and what it holds."""
        rows = "" if self._rows is None else f" {zlib.crc32(self._rows.tobytes())}"
        return f"{self._place} {self._key} {self.shape} {self.dtype}{rows}"


def chunks(column: Any, name: str) -> Iterator[Array]:
    """Yield a chunked column's parts that have rows."""
    for chunk in column.chunks:
        if len(chunk):
            yield as_numpy(chunk, name)


def by_part(starts: Indices, rows: Indices) -> Iterator[tuple[int, Indices]]:
    """Yield each part that has some of the rows, with the places of these.

    Parameters
    ----------
    starts : array of int64
        Number of each part's first row, ascending.
    """
    parts = np.searchsorted(starts, rows, side="right") - 1
    for part in np.unique(parts).tolist():
        yield part, np.flatnonzero(parts == part)
