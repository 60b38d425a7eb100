"""A folder of anything, with a function that loads one file."""

from __future__ import annotations

import glob
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fastfeed.caching.base import stamp_of
from fastfeed.errors import ArgumentError, SourceError
from fastfeed.files.paths import existing
from fastfeed.structure import Tree


def folder(
    path: str | os.PathLike[str], load: Callable[[Path], Tree], pattern: str = "*"
) -> Folder:
    """Read the files of a folder, one a sample.

    Parameters
    ----------
    path : path
    load : callable
        ``load(path)`` returns a sample: an array or a tuple, list or dict of them. It is called in
        the workers.
    pattern : str
        Which files, as `glob` has it: ``"*.npy"``, ``"**/*.wav"`` with all folders below. Files
        whose names begin with a dot are left out.

    Returns
    -------
    Folder
        Its items are the samples, in the order of the files' names; a source for
        ``Loader(..., batch_size=...)``.

    Raises
    ------
    SourceError
        If there is no such folder, or no file in it.
    ArgumentError
        If `load` is no function.
    """
    if not callable(load):
        raise ArgumentError(
            "load is the function that makes a sample of a pathlib.Path: folder(path, numpy.load).",
            f"load={load!r}",
        )
    root = existing(path)
    if not os.path.isdir(root):
        raise SourceError(f"{root} is a file. folder(...) wants the folder that it is in.")
    names = [
        name
        for name in glob.glob(pattern, root_dir=root, recursive=True)
        if os.path.isfile(os.path.join(root, name))
    ]
    if not names:
        raise SourceError(
            f"No file in {root} matches {pattern!r}. A pattern for all folders below begins with "
            "'**/', for example '**/*.npy'."
        )
    return Folder(root, load, names)


class Folder:
    """Samples that are files; see `folder`."""

    def __init__(self, root: str, load: Callable[[Path], Tree], names: list[str]) -> None:
        self._root = root
        self._load = load
        # One array goes to the workers as shared memory; a list would be in each of them.
        self._names = np.sort(np.array([os.fsencode(name) for name in names]))

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: int) -> Any:
        path = self.path(index)
        try:
            return self._load(path)
        except Exception as error:  # few functions say which file they could not read
            error.add_note(f"{path} was being loaded.")
            raise

    def path(self, index: int) -> Path:
        """Return the path of a sample's file."""
        return Path(self._root, os.fsdecode(self._names[index].item()))

    def stamp(self, index: int) -> int:
        """Return what changes when a sample's file is written, for a cache on disk."""
        return stamp_of(self.path(index))

    def fingerprint(self) -> str:
        """Name the folder and its files; to look at each of a million would take seconds."""
        return f"{self._root} {len(self)} {zlib.crc32(self._names.tobytes())}"
