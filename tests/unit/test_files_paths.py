"""Paths of files and folders, whatever their format."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastfeed.errors import SourceError
from fastfeed.files import arrow, folder, hdf5, npy, npz, parquet, zarr

NOBODY = 65534
READERS = [arrow, hdf5, npy, npz, parquet, zarr, lambda path: folder(path, np.load)]


@pytest.fixture
def no_right() -> Iterator[Path]:
    """Something that this user may not read."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        path = Path(name, "a")
        path.mkdir(mode=0o311)
        own = os.geteuid()
        if own == 0:
            os.seteuid(NOBODY)
        try:
            yield path
        finally:
            os.seteuid(own)
            path.chmod(0o700)


@pytest.mark.parametrize("read", READERS)
def test_what_may_not_be_read_is_not_called_damaged(read: Any, no_right: Path) -> None:
    with pytest.raises(SourceError, match=rf"{no_right} may not be read by this user\. Change"):
        read(no_right)
