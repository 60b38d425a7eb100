"""Files and folders themselves: whether they are there, and are what they were."""

from __future__ import annotations

import os
from pathlib import Path

from fastfeed.errors import ArgumentError, SourceError

FilePath = str | os.PathLike[str]


def existing(path: FilePath) -> str:
    """Return the absolute path of a file or folder: workers may run in another folder.

    Raises
    ------
    SourceError
        If there is none, or it may not be read.
    ArgumentError
        If it is no path, but a list of them, an open file, ...
    """
    if not isinstance(path, (str, bytes, os.PathLike)):
        raise ArgumentError(
            "The path of one file or folder is wanted, a str or a pathlib.Path. parquet(...) and "
            "webdataset(...) read several files one behind the other; for another format join "
            "them once, or feed an object whose __getitem__ knows which file a sample is in.",
            f"a {type(path).__name__}",
        )
    if "://" in str(path):
        raise SourceError(
            f"{path} is no path of a local file. Copy it here first, or, where its library opens "
            "it (zarr.open(...), datasets.load_dataset(...)), pass what that returns."
        )
    absolute = os.path.abspath(os.fspath(path))
    if not os.path.exists(absolute):
        raise SourceError(f"There is no {absolute}. Check the path.")
    if not os.access(absolute, os.R_OK, effective_ids=True):
        raise SourceError(f"{absolute} may not be read by this user. Change its permissions.")
    return absolute


def state_of(path: str) -> str:
    """Return what changes when a file is written: its path, its size in bytes, its time in ns."""
    status = Path(path).stat()
    return f"{path} {status.st_size} {status.st_mtime_ns}"


def require_unchanged(path: str, state: str) -> None:
    """Refuse a file that is no longer what the source was made from: where its values lie, and
    how many there are, was looked up then.

    Raises
    ------
    SourceError
        If it was written since, or removed.
    """
    if not os.path.exists(path) or state_of(path) != state:
        raise SourceError(
            f"{path} was written or removed after the source was made from it. Make the source "
            "anew, and leave its files alone while they are read."
        )
