"""Reading through a reader as a worker does it."""

from __future__ import annotations

import pickle
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from fastfeed.sources.base import Item
from fastfeed.sources.rows import RowReader, Rows
from fastfeed.structure import map_leaves

ORDERS = [[0], [3, 4, 5, 6], [9, 0, 4, 4, 5, 1], [7, 7, 7], list(range(10))[::-1]]
"""Of ten rows: one, a run, any order with repetitions, one row only, backwards."""


def read(reader: Any, index: list[int]) -> Any:
    """What a worker gets, to which the reader was sent, for the rows `index`."""
    assert isinstance(reader, RowReader)
    reader = pickle.loads(pickle.dumps(reader))
    reader.open()
    reader.open()
    rows = np.array(index, np.int64)
    return read_here(reader, rows)


def read_here(reader: RowReader, rows: NDArray[np.int64]) -> Any:
    """The rows, by a reader that is open."""
    out = map_leaves(lambda spec: np.empty((len(rows), *spec.shape), spec.dtype), reader.spec)
    reader.read(Rows(rows, out, cast(Item, None)))
    return out
