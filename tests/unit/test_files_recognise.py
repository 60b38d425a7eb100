"""What is no object of a file format's library stays what it is."""

from __future__ import annotations

import subprocess
import sys
from collections import namedtuple
from typing import Any

import h5py
import numpy as np
import pandas
import pyarrow as pa
import pytest
import zarr

from fastfeed.errors import SourceError
from fastfeed.files.recognise import reader_of

assert h5py and zarr  # imported: their objects are looked for

Pair = namedtuple("Pair", "x y")
X = np.zeros((3, 2))


class Dataset:
    """Of the same name as those of libraries."""

    shape = (3,)

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> np.ndarray:
        return X[index]


@pytest.mark.parametrize(
    "source",
    [
        X,
        (X, X),
        {"x": X},
        Pair(X, X),
        [X],
        (X, "text"),
        (),
        {},
        None,
        Dataset(),
        Dataset,
        "a",
        iter(X),
    ],
    ids=lambda source: type(source).__name__,
)
def test_other_sources_are_left_alone(source: Any) -> None:
    assert reader_of(source) is None


@pytest.mark.parametrize("pack", [lambda v: v, lambda v: (v, X), lambda v: {"a": (X, v)}])
@pytest.mark.parametrize(
    ("source", "words"),
    [
        (
            pandas.DataFrame({0: [1, 2, 3]}),
            r"a pandas\.DataFrame are no samples.*\.to_numpy\(\) for name in frame\.columns",
        ),
        (
            pa.chunked_array([[1, 2, 3]]),
            r"a pyarrow\.ChunkedArray are .*files\.arrow\(table, columns",
        ),
        (pa.array([1, 2, 3]), r"a pyarrow\.Array are no samples.*column\.to_numpy"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_columns_are_no_samples(source: Any, words: str, pack: Any) -> None:
    with pytest.raises(SourceError, match=words):
        reader_of(pack(source))


def test_no_library_is_imported_for_that() -> None:
    program = """
import sys
import fastfeed
import numpy as np
fastfeed.Loader((np.zeros(4), np.zeros(4)), batch_size=2, workers=0).close()
print(sorted({"h5py", "zarr", "pyarrow", "datasets", "webdataset"} & sys.modules.keys()))
"""
    assert subprocess.check_output([sys.executable, "-c", program], text=True) == "[]\n"
