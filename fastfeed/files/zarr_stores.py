"""Zarr arrays, with zarr. What it has opened can be sent to workers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from fastfeed.errors import SourceError
from fastfeed.files.columns import (
    Array,
    Column,
    ColumnReader,
    Indices,
    Keys,
    fixed_size,
    pick,
    read_sorted,
)
from fastfeed.files.paths import existing, require_unchanged, state_of
from fastfeed.packages import library
from fastfeed.sources.rows import RowReader
from fastfeed.structure import leaves

METADATA = ("zarr.json", ".zarray")
"""An array's own file, in the third and in the second version of the format."""


def zarr(path: str | os.PathLike[str], keys: Keys = None) -> RowReader:
    """Read arrays of a Zarr store, with one row a sample.

    Parameters
    ----------
    path : path
        Of a group or of a single array.
    keys : str, list, tuple, dict or None
        Which arrays of a group, ``"group/x"`` for one inside of another. A name: the batch is an
        array. ``("x", "y")``: a tuple of arrays. A dict of names, or a list of names: a dict.
        None: the array that lies at `path`, or a dict of all arrays of the group there.

    Returns
    -------
    RowReader
        A source for `Loader`.

    Raises
    ------
    SourceError
        If there is no such store or array, the arrays differ in length, or hold texts.
    LibraryMissing
        zarr is not installed.
    """
    absolute = existing(path)
    package = library("zarr", "A Zarr store")
    try:
        node = package.open(absolute, mode="r")
    except (OSError, ValueError) as error:
        raise SourceError(
            f"{absolute} is no Zarr store ({error}). One that is no folder is opened before it is "
            "passed: zarr.open(zarr.storage.ZipStore(path, mode='r'))."
        ) from error
    return of_node(node, keys)


def of_node(node: Any, keys: Keys = None) -> RowReader:
    """Return the reader of an array, or of a group's arrays."""
    place = place_of(node)
    if hasattr(node, "dtype"):
        if keys is not None:
            raise SourceError(f"{place} is a single array: leave keys out. Received: keys={keys!r}")
        return ColumnReader(ZarrColumn(node))
    names = sorted(node.array_keys())  # a folder lists them in any order
    if keys is not None:  # those inside of groups have to be named
        names += [name for name in leaves(keys) if "/" in str(name) and name in node]
    return ColumnReader(pick(keys, names, lambda name: ZarrColumn(node[name]), place))


def place_of(node: Any) -> str:
    """Return the address of an array or group, as each version of the library has it."""
    if hasattr(node, "store_path"):
        return str(node.store_path)
    return f"{getattr(node.store, 'path', node.store)}/{node.path}".rstrip("/")


class ZarrColumn(Column):
    """One array; it is pickled as the address of its store and what it holds.

    Raises
    ------
    SourceError
        If its folder is not there.
    """

    def __init__(self, array: Any) -> None:
        self._array = array
        name = f"The Zarr array {place_of(array)}"
        super().__init__(name, array.shape, fixed_size(array.dtype, name))
        self._states = {path: state_of(path) for path in own_files(array, name)}

    def open(self) -> None:
        """Nothing is open between two reads."""

    def read(self, index: Indices, out: Array) -> None:
        """Read rows in ascending order, each chunk once."""
        for path, state in self._states.items():  # what is removed would be read as zeros
            require_unchanged(path, state)
        read_sorted(self._read_ascending, index, out)

    def _read_ascending(self, index: Indices, out: Array) -> None:
        first, last = int(index[0]), int(index[-1])
        if last - first == len(index) - 1:
            out[...] = self._array[first : last + 1]
        else:
            out[...] = self._array.oindex[index]

    def fingerprint(self) -> str:
        """Name the store and what it holds; where it is a folder, with the array's own file."""
        return f"{self.name} {self.shape} {self.dtype} {list(self._states.values())}"


def own_files(array: Any, name: str) -> list[str]:
    """Return the paths of an array's metadata, if it lies in a local folder.

    Raises
    ------
    SourceError
        If they are not there.
    """
    root = getattr(array.store, "root", None)
    folder = Path(str(root or getattr(array.store, "path", "")), array.path)
    found = [str(folder / file) for file in METADATA if (folder / file).is_file()]
    if root is not None and not found:
        raise SourceError(
            f"{name} is not in {folder.absolute()}, from where it would be read as zeros. If it "
            "was opened by a relative path and the working directory is another one now, open it "
            "by an absolute path."
        )
    return found
