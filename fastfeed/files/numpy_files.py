"""NumPy's own files, mapped: the operating system reads the rows that are used, and no more."""

from __future__ import annotations

import os
import struct
import warnings
import zipfile
from typing import Any

import numpy as np
from numpy.lib import format as npy_format

from fastfeed.errors import ArgumentError, SourceError, gib
from fastfeed.files.columns import Array, Keys, pick, require_rows
from fastfeed.files.paths import existing
from fastfeed.structure import Tree, map_leaves

LOCAL_HEADER_BYTES = 30
"""A zip member begins with so many bytes, then its name and an extra field (APPNOTE.TXT 4.3.7)."""


def npy(path: str | os.PathLike[str] | Tree) -> Tree:
    """Map a ``.npy`` file, with one row a sample.

    Its rows are copied from the mapped file into the batch, natively and without Python's lock, so
    threads of this process do it.

    Parameters
    ----------
    path : path, or tuple or dict of paths
        A tuple or dict gives a tuple or dict of arrays: ``npy(("x.npy", "y.npy"))``.

    Returns
    -------
    numpy.memmap, or tuple or dict of them
        Read only; a source for `Loader`.

    Raises
    ------
    SourceError
        If there is no such file, or it cannot be mapped: it holds Python objects or no rows, or its
        rows are not contiguous (Fortran order).
    ArgumentError
        If it is a list of paths.
    """
    if isinstance(path, list):
        raise ArgumentError(
            "npy maps one file, or those of a tuple or dict side by side, as x and y of a sample. "
            "Files that go on one behind the other have to be joined once (numpy.concatenate); "
            "files that are a sample each are read by folder(path, numpy.load, '*.npy').",
            f"a list of {len(path)}",
        )
    return map_leaves(map_file, path)


def map_file(path: str | os.PathLike[str]) -> Array:
    """Map one file."""
    absolute = existing(path)
    try:
        mapped = np.load(absolute, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise unreadable(absolute, "numpy.save", error) from error
    if not isinstance(mapped, np.ndarray):
        mapped.close()
        raise SourceError(f"{absolute} is no .npy file but an archive of several: use npz(...).")
    require_rows(mapped.shape, absolute)
    if not mapped.flags.c_contiguous:
        raise SourceError(
            f"{absolute} is in Fortran order: the values of a row are spread over the whole file, "
            "so it cannot be read row by row. Write it anew once: "
            f"numpy.save(new_path, numpy.ascontiguousarray(numpy.load({absolute!r})))."
        )
    return mapped


def unreadable(path: str, writer: str, error: Exception) -> SourceError:
    """Say why NumPy cannot read a file."""
    if "Object arrays" in str(error) or "Python objects" in str(error):
        return SourceError(
            f"{path} holds Python objects, which have no fixed size and would run code when they "
            "are read. Convert them to numbers, or to texts of a fixed length (dtype 'U16'), and "
            "write the file anew."
        )
    return SourceError(f"{path} is no file of {writer}, or it is cut off ({error}).")


def npz(path: str | os.PathLike[str], keys: Keys = None) -> Tree:
    """Map the arrays of an ``.npz`` file, with one row a sample.

    Those of `numpy.savez` are mapped as they lie in the file. Those of `numpy.savez_compressed` are
    loaded into memory once, with a warning that says how large they are.

    Parameters
    ----------
    path : path
    keys : str, list, tuple, dict or None
        Which arrays. A name: the batch is an array. ``("x", "y")``: a tuple of arrays. A dict of
        names, or a list of names: a dict. None: a dict of all arrays.

    Returns
    -------
    array, or tuple or dict of arrays
        A source for `Loader`.

    Raises
    ------
    SourceError
        If there is no such file or array, or it holds Python objects or no rows.
    """
    absolute = existing(path)
    try:
        with zipfile.ZipFile(absolute) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    except (zipfile.BadZipFile, OSError) as error:
        raise unreadable(absolute, "numpy.savez", error) from error
    loaded: dict[str, int] = {}
    try:
        found = pick(keys, list(members), lambda n: member(absolute, members[n], loaded), absolute)
    except (ValueError, KeyError, zipfile.BadZipFile) as error:
        if isinstance(error, SourceError):
            raise
        raise unreadable(absolute, "numpy.savez", error) from error
    if loaded:
        warnings.warn(
            f"{', '.join(loaded)} of {absolute}: compressed, or in Fortran order, and therefore "
            f"loaded into memory ({gib(sum(loaded.values()))}). Rows that numpy.savez, not "
            "savez_compressed, has written one after the other are mapped.",
            stacklevel=2,
        )
    return found


def member(path: str, info: zipfile.ZipInfo, loaded: dict[str, int]) -> Array:
    """Map one array; where that cannot be, load it and note its bytes in `loaded`."""
    name = info.filename.removesuffix(".npy")
    mapped = map_member(path, info) if info.compress_type == zipfile.ZIP_STORED else None
    if mapped is not None:
        return mapped
    with np.load(path, allow_pickle=False) as archive:
        array: Array = archive[name]
    require_rows(array.shape, f"{name} of {path}")
    loaded[name] = array.nbytes
    return np.ascontiguousarray(array)


def map_member(path: str, info: zipfile.ZipInfo) -> Array | None:
    """Map an array that is stored as it is; None if it has no contiguous rows of bytes."""
    with open(path, "rb") as file:
        file.seek(info.header_offset)
        name_bytes, extra_bytes = struct.unpack("<26xHH", file.read(LOCAL_HEADER_BYTES))
        file.seek(name_bytes + extra_bytes, os.SEEK_CUR)
        shape, fortran, dtype = read_header(file)
        if fortran or dtype.hasobject or not shape or 0 in shape:
            return None
        return np.memmap(path, dtype, "r", file.tell(), shape)


def read_header(file: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read the header of a .npy file: up to its first value."""
    if npy_format.read_magic(file) == (1, 0):
        return npy_format.read_array_header_1_0(file)
    return npy_format.read_array_header_2_0(file)
