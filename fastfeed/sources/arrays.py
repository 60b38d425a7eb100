"""Arrays, and tuples or dicts of arrays with one row a sample.

Rows are gathered natively into the slot, without the GIL, so threads of this process serve them as
fast as processes would; nothing is sent anywhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastfeed.errors import SourceError
from fastfeed.order import EpochOrder
from fastfeed.sources.base import Item, RowLayouts, RowNumbers, Source, Writer
from fastfeed.sources.fingerprints import identity_of_arrays
from fastfeed.structure import ArraySpec, Layout, Tree, as_leaf, describe, leaves, map_leaves


class ArraySource(Source):
    """Makes batches from rows of every array.

    Parameters
    ----------
    arrays : tree of arrays
        C-contiguous, all of the same length along axis 0, at least 1.
    order : EpochOrder
        Of their rows.
    """

    divisible = True

    def __init__(self, arrays: Tree, order: EpochOrder) -> None:
        self._arrays = arrays
        self._rows = RowNumbers(order)
        sample = map_leaves(lambda array: ArraySpec(array.shape[1:], array.dtype), arrays)
        self._layouts = RowLayouts(sample, order.most_rows)

    def fingerprint(self) -> str:
        """Return the arrays' looks, and a hash of some rows."""
        return identity_of_arrays(self._arrays)

    def layout(self) -> Layout:
        """Return the layout of the largest batch."""
        return self._layouts.full

    def make(self, item: Item, writer: Writer) -> None:
        """Gather one batch."""
        layout = self._layouts.of(item.batch_rows)
        numbers = self._rows.of(item)
        writer.reserve(layout)
        for leaf, array in zip(leaves(layout.skeleton), leaves(self._arrays), strict=True):
            writer.gather(leaf, array, numbers, item.first_row)
        writer.commit(layout)


def is_array_tree(source: Any) -> bool:
    """Tell whether every leaf of a tuple or dict (or the object itself) is an array."""
    if isinstance(source, (dict, tuple)):
        children = source.values() if isinstance(source, dict) else source
        return len(source) > 0 and all(is_array_tree(child) for child in children)
    return hasattr(source, "__array__") and hasattr(source, "dtype") and hasattr(source, "shape")


def contiguous(arrays: Tree) -> Tree:
    """Return the same arrays, each in one piece, row after row."""
    return map_leaves(lambda leaf: np.ascontiguousarray(as_leaf(leaf)), arrays)


def common_length(arrays: Tree) -> int:
    """Return the number of rows.

    Raises
    ------
    SourceError
        If the arrays differ in length, have none, or hold Python objects.
    """
    found = list(leaves(arrays))
    if any(array.dtype.hasobject for array in found):
        raise SourceError(
            f"An array of Python objects has no rows of bytes: {describe(arrays)}. Convert it to "
            "a fixed-size dtype, or wrap the data in an object with __len__ and __getitem__."
        )
    lengths = {len(array) if array.ndim else 0 for array in found}
    if len(lengths) != 1 or not lengths - {0}:
        raise SourceError(
            f"Arrays must have the same number of rows, at least 1. Received: {describe(arrays)}"
        )
    return lengths.pop()
