"""Parquet files, with pyarrow. They are read by row groups, which are compressed as a whole."""

from __future__ import annotations

import os
import threading
import zlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastfeed.errors import ArgumentError, SourceError
from fastfeed.files.arrow_values import as_numpy, by_part, ragged, require_numeric
from fastfeed.files.columns import Array, Keys, pick
from fastfeed.files.paths import FilePath, existing, require_unchanged, state_of
from fastfeed.packages import library
from fastfeed.sources.rows import RowReader, Rows
from fastfeed.structure import ArraySpec, leaves, map_leaves


def parquet(
    paths: FilePath | Sequence[FilePath], columns: Keys = None, *, keep_bytes: int = 256 << 20
) -> RowReader:
    """Read columns of Parquet files.

    Numbers become arrays, and lists of the same length arrays of shape (rows, length).

    Parameters
    ----------
    paths : path or list of paths
        One file, or several with the same columns, one behind the other.
    columns : str, list, tuple, dict or None
        Which columns. A name: the batch is an array. ``("x", "y")``: a tuple of arrays. A list of
        names, or a dict of names: a dict. None: a dict of all columns.
    keep_bytes : int
        Each worker keeps decoded row groups up to so many bytes; the last one always. A shuffled
        epoch decodes a row group for nearly each sample if they do not all fit in.

    Returns
    -------
    RowReader
        A source for `Loader`.

    Raises
    ------
    SourceError
        If there is no such file or column, the files differ in their columns, a column holds texts
        or missing values (null), or lists that differ in length.
    ArgumentError
        If `keep_bytes` is no number of bytes, or what should be a path is none.
    LibraryMissing
        pyarrow is not installed.
    """
    found: list[Any] = [paths]
    if not isinstance(paths, (str, bytes, os.PathLike)) and not hasattr(paths, "read"):
        found = list(paths)
    if not found:
        raise SourceError("parquet needs one path at least. Received: an empty list.")
    if not hasattr(keep_bytes, "__index__") or keep_bytes < 0:
        raise ArgumentError(
            "keep_bytes is a number of bytes: what each worker may keep decoded, for example "
            "1 << 30.",
            f"keep_bytes={keep_bytes!r}",
        )
    return ParquetReader([existing(path) for path in found], columns, keep_bytes)


class ParquetReader(RowReader):
    """Reads batches from row groups; see `parquet`."""

    def __init__(self, paths: list[str], columns: Keys, keep_bytes: int) -> None:
        self._paths = paths
        self._keep_bytes = keep_bytes
        self._states = [state_of(path) for path in paths]
        self._files = [read_metadata(path) for path in paths]
        schema = self._files[0].schema.to_arrow_schema()
        self._names = pick(columns, schema.names, str, paths[0])
        for name in self._column_names:
            require_numeric(schema.field(name).type, name)
            require_same(name, schema.field(name).type, self._files, paths)
        self._groups = [
            (file, group, metadata.row_group(group).num_rows)
            for file, metadata in enumerate(self._files)
            for group in range(metadata.num_row_groups)
        ]
        self._starts = np.cumsum([0, *(rows for _, _, rows in self._groups)])
        if not self.n_samples:
            raise SourceError(f"{paths[0]} has no rows, nor have any others that were named.")
        self._first = self._read_first()
        self.spec = map_leaves(lambda name: self._first[name], self._names)
        self._decoded = RowGroups(keep_bytes)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_decoded": None}

    @property
    def _column_names(self) -> list[str]:
        return list(dict.fromkeys(leaves(self._names)))

    @property
    def n_samples(self) -> int:
        """How many rows all files have."""
        return int(self._starts[-1])

    def __len__(self) -> int:
        return self.n_samples

    def _open_file(self, file: int) -> Any:
        pq = library("pyarrow.parquet", "Parquet")
        return pq.ParquetFile(self._paths[file], metadata=self._files[file], memory_map=True)

    def _read_first(self) -> dict[str, ArraySpec]:
        """Read one row, which shows how long lists are."""
        file = next(file for file, _, rows in self._groups if rows)
        with self._open_file(file) as opened:
            row = next(opened.iter_batches(1, columns=self._column_names, use_threads=False))
        found = {name: as_numpy(row.column(name), name) for name in self._column_names}
        return {name: ArraySpec(array.shape[1:], array.dtype) for name, array in found.items()}

    def open(self) -> None:
        """Begin with no row group decoded."""
        if self._decoded is None:
            self._decoded = RowGroups(self._keep_bytes)

    def read(self, rows: Rows) -> None:
        """Copy rows, row group by row group."""
        for part, places in by_part(self._starts, rows.index):
            try:
                group = self._decoded.get(part, self._decode)
            except Exception as error:  # pyarrow does not say which file is damaged
                file, number, _ = self._groups[part]
                error.add_note(f"Row group {number} of {self._paths[file]} was being read.")
                raise
            inside = rows.index[places] - self._starts[part]
            for name, out in zip(leaves(self._names), leaves(rows.out), strict=True):
                out[places] = group[name][inside]

    def _decode(self, part: int) -> dict[str, Array]:
        file, group, _ = self._groups[part]
        require_unchanged(self._paths[file], self._states[file])
        with self._open_file(file) as opened:
            table = opened.read_row_group(group, columns=self._column_names, use_threads=False)
        found = {}
        for name in self._column_names:
            array = as_numpy(table.column(name).combine_chunks(), name)
            if array.shape[1:] != self._first[name].shape:
                shapes = f"{self._first[name].shape} and {array.shape[1:]}"
                raise ragged(name, shapes)
            found[name] = array
        return found

    def fingerprint(self) -> str:
        """Name the files and the columns."""
        states = zlib.crc32("".join(self._states).encode())
        files = f"{len(self._paths)} Parquet files {states:08x} from {self._paths[0]}"
        return f"{files} {self._column_names} {list(self._first.values())} {self.n_samples}"


class RowGroups:
    """Decoded row groups, of which those not used for the longest time are dropped."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._used = 0
        self._found: OrderedDict[int, dict[str, Array]] = OrderedDict()
        self._lock = threading.Lock()  # with use_multiprocessing=False workers share it

    def get(self, part: int, decode: Any) -> dict[str, Array]:
        """Return a row group, decoded now if it is not here."""
        with self._lock:
            group = self._found.get(part)
            if group is None:
                group = self._found[part] = decode(part)
                self._used += size_of(group)
            self._found.move_to_end(part)
            while self._used > self._limit and len(self._found) > 1:
                self._used -= size_of(self._found.popitem(last=False)[1])
            return group


def size_of(group: dict[str, Array]) -> int:
    """Bytes of a decoded row group."""
    return sum(array.nbytes for array in group.values())


def read_metadata(path: str) -> Any:
    """Read what stands at a file's end: its columns and row groups.

    Raises
    ------
    SourceError
        If it is no Parquet file.
    """
    pa, pq = library("pyarrow", "Parquet"), library("pyarrow.parquet", "Parquet")
    if os.path.isdir(path):
        raise SourceError(
            f"{path} is a folder. Name its files: sorted(Path(...).glob('*.parquet'))"
        )
    try:
        return pq.read_metadata(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise SourceError(f"{path} is no Parquet file, or it is cut off ({error}).") from error


def require_same(name: str, kind: Any, files: list[Any], paths: list[str]) -> None:
    """Refuse files that differ in a column.

    Raises
    ------
    SourceError
        If it is missing somewhere, or has another type.
    """
    for metadata, path in zip(files, paths, strict=True):
        schema = metadata.schema.to_arrow_schema()
        found = schema.field(name).type if name in schema.names else "missing"
        if found != kind:
            raise SourceError(
                f"The column {name!r} is {kind} in {paths[0]}, but {found} in {path}. Files that "
                "are read as one need the same columns."
            )
