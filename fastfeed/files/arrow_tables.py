"""Arrow tables and files (also Feather), with pyarrow."""

from __future__ import annotations

import functools
import warnings
from typing import Any

import numpy as np

from fastfeed.errors import SourceError, gib
from fastfeed.files.arrow_values import ArrowColumn, as_numpy, require_numeric
from fastfeed.files.columns import Array, ColumnReader, Keys, pick
from fastfeed.files.paths import existing, require_unchanged, state_of
from fastfeed.packages import library
from fastfeed.sources.rows import RowReader
from fastfeed.structure import Tree

SMALL_BYTES = 1 << 20
"""A copy of so much in each worker is not worth a warning."""


def arrow(table: Any, columns: Keys = None) -> RowReader | Tree:
    """Read columns of an Arrow table, or of a file that holds one.

    Numbers become arrays, and lists of the same length arrays of shape (rows, length). A file is
    mapped into memory, so all workers share what the operating system has read of it.

    Parameters
    ----------
    table : pyarrow.Table, pyarrow.RecordBatch or path
        A path: of an Arrow file or stream, or of a Feather file.
    columns : str, list, tuple, dict or None
        Which columns. A name: the batch is an array. ``("x", "y")``: a tuple of arrays. A list of
        names, or a dict of names: a dict. None: a dict of all columns.

    Returns
    -------
    RowReader, or array, or tuple or dict of arrays
        A source for `Loader`; arrays where the table lies in memory already.

    Raises
    ------
    SourceError
        If there is no such file or column, a column holds texts or missing values (null), or lists
        that differ in length.
    LibraryMissing
        pyarrow is not installed.
    """
    pa = library("pyarrow", "An Arrow table")
    if isinstance(table, pa.RecordBatch):
        table = pa.Table.from_batches([table])
    if isinstance(table, pa.Table):
        return of_table(table, columns)
    path = existing(table)
    whole, copied = open_table(path)
    if copied > SMALL_BYTES:
        warnings.warn(
            f"{path} is compressed, so each worker has a copy of its own ({gib(copied)} with all "
            "columns). Written without compression (pyarrow.feather.write_feather(table, path, "
            "compression='uncompressed')) it is shared.",
            stacklevel=2,
        )
    place = state_of(path)
    find = functools.partial(find_in_file, path, place)
    names = whole.column_names
    return ColumnReader(pick(columns, names, lambda name: ArrowColumn(find, name, place), path))


def of_table(table: Any, columns: Keys = None) -> Tree:
    """Return the columns of a table in memory as arrays: views, unless it is in pieces."""

    def column(name: str) -> Array:
        found = table.column(name)
        require_numeric(found.type, name)
        if not len(found):
            raise SourceError(f"The table has no rows, so its column {name!r} is empty.")
        parts = [as_numpy(chunk, name) for chunk in found.chunks if len(chunk)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    return pick(columns, table.column_names, column, "The table")


def open_table(path: str, columns: list[int] | None = None) -> tuple[Any, int]:
    """Map a file; return its table, and how many bytes had to be copied (decompressed).

    Raises
    ------
    SourceError
        If it is no Arrow file.
    """
    pa = library("pyarrow", "An Arrow file")
    options = pa.ipc.IpcReadOptions(included_fields=columns)
    before = pa.total_allocated_bytes()
    try:
        file = pa.memory_map(path)
        try:
            found = pa.ipc.open_file(file, options=options).read_all()
        except pa.ArrowInvalid:  # a stream has no table of contents at its end
            file.seek(0)
            found = pa.ipc.open_stream(file, options=options).read_all()
    except (pa.ArrowInvalid, OSError) as error:
        raise SourceError(f"{path} is no Arrow or Feather file, or cut off ({error}).") from error
    return found, pa.total_allocated_bytes() - before


def find_in_file(path: str, state: str, name: str) -> Any:
    """Return one column of a file; the others are not decompressed."""
    require_unchanged(path, state)
    pa = library("pyarrow", "An Arrow file")
    names = open_schema(pa, path).names
    return open_table(path, [names.index(name)])[0].column(0)


def open_schema(pa: Any, path: str) -> Any:
    """Read what columns a file has."""
    with pa.memory_map(path) as file:
        try:
            return pa.ipc.open_file(file).schema
        except pa.ArrowInvalid:
            file.seek(0)
            return pa.ipc.open_stream(file).schema
