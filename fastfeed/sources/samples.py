"""Objects with ``__len__`` and ``__getitem__`` whose items are single samples (a torch dataset).

The batch is made in the slot: each sample is copied to its row as soon as it is there, while its
bytes are still in the cache. Nothing is stacked in between.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np

from fastfeed.errors import SourceError
from fastfeed.order import EpochOrder
from fastfeed.sources.base import Item, RowNumbers, Source, Writer, not_none
from fastfeed.sources.fingerprints import identity_of
from fastfeed.sources.indexable import EpochHooks
from fastfeed.structure import (
    ArraySpec,
    Layout,
    Tree,
    as_leaf,
    children_of,
    container_type,
    describe,
    is_array,
    leaves,
    map_leaves,
    pickle_note,
    rebuild,
)


class SampleSource(Source):
    """Makes batches of samples.

    Parameters
    ----------
    items : object with ``__len__`` and ``__getitem__``
    order : EpochOrder
        Of the samples.
    """

    divisible = slow = True

    def __init__(self, items: Any, order: EpochOrder) -> None:
        self.items = items
        self._name = f"{type(items).__name__}.__getitem__"
        self._rows = RowNumbers(order)
        self._hooks = EpochHooks(items)
        self.hooks_epochs = bool(self._hooks)

    def fingerprint(self) -> str:
        """Return the user's object's."""
        return identity_of(self.items)

    def start_epoch(self, epoch: int) -> None:
        """Call the user's hooks."""
        self._hooks.before(epoch)

    def make(self, item: Item, writer: Writer) -> None:
        """Collate one batch."""
        rows = self._rows.of(item).tolist()
        collate((self._sample(row, item) for row in rows), item.rows, item, writer)

    def _sample(self, row: int, item: Item) -> Tree:
        item.seed(row)
        try:
            sample = self.items[row]
        except Exception as error:
            error.add_note(f"It was raised by {self._name}({row}).")
            raise
        return not_none(sample, self._name, item, row)


def collate(samples: Iterable[Tree], most: int, item: Item, writer: Writer) -> int:
    """Write up to `most` samples as rows of a batch; return how many there were.

    Number-like leaves (also Python's own) become arrays with a row a sample; strings and other
    objects become lists. No samples: nothing is written.

    Raises
    ------
    SourceError
        If the samples differ in structure or shape.
    """
    samples = iter(samples)
    first = next(samples, None)
    if first is None:
        return 0
    first = map_leaves(sample_leaf, first)
    batch_rows = item.batch_rows or most
    layout = row_layout(first, batch_rows)
    batch = writer.reserve(layout)
    columns: list[Any] = [[] if isinstance(leaf, Objects) else leaf for leaf in leaves(batch)]
    rows = 0
    for rows, sample in enumerate(itertools.chain([first], samples), 1):
        put_row(columns, item.first_row + rows - 1, sample, first, item)
    has_objects = any(isinstance(column, list) for column in columns)
    if rows < most or has_objects:
        layout = with_objects(layout, columns).with_rows(rows if rows < most else batch_rows)
    writer.commit(layout)
    return rows


def sample_leaf(value: Any) -> Any:
    """Turn numbers into 0-d arrays, because a batch of them is an array."""
    if isinstance(value, (bool, int, float, complex)):
        return np.asarray(value)
    return as_leaf(value)


def row_layout(sample: Tree, rows: int) -> Layout:
    """Return the layout of a batch of samples like this one, named in its order.

    In the slot they lie by their names: who makes other rows of the same batch goes by another
    sample, which may name its parts in another order.
    """
    specs = map_leaves(lambda leaf: row_spec(leaf, rows), sample)
    layout = Layout.of(by_name(specs))
    skeleton = in_order_of(layout.skeleton, specs)
    note = pickle_note(skeleton)
    return Layout(skeleton, layout.data_bytes, note, layout.note if note != layout.note else b"")


def by_name(tree: Tree) -> Tree:
    """Return the tree with the names of its dicts in one order."""
    children = children_of(tree)
    if children is None:
        return tree
    if isinstance(tree, dict):
        names = sorted(tree, key=lambda name: (type(name).__name__, repr(name)))
        return {name: by_name(tree[name]) for name in names}
    return rebuild(tree, [by_name(child) for child in children])


def in_order_of(tree: Tree, pattern: Tree) -> Tree:
    """Return the tree with the names of its dicts in the order of `pattern`, where they agree."""
    children, patterns = children_of(tree), children_of(pattern)
    if children is None or patterns is None or len(children) != len(patterns):
        return tree
    if isinstance(tree, dict) and isinstance(pattern, dict) and tree.keys() == pattern.keys():
        return {name: in_order_of(tree[name], pattern[name]) for name in pattern}
    return rebuild(tree, [in_order_of(*pair) for pair in zip(children, patterns, strict=True)])


def row_spec(leaf: Any, capacity: int) -> Any:
    """Return what a batch holds for one leaf of a sample."""
    is_text = isinstance(leaf, np.ndarray) and leaf.dtype.kind in "US" and not leaf.shape
    if is_array(leaf) and not is_text:  # texts differ in length, so in dtype
        return ArraySpec((capacity, *leaf.shape), leaf.dtype)
    return Objects()


class Objects:
    """Stands in a layout for a list of objects until the samples are there."""


def put_row(columns: list[Any], row: int, sample: Tree, first: Tree, item: Item) -> None:
    """Copy one sample to its row of each column: of an array, or of a list for objects."""
    values: list[Any] = []
    if not collect_leaves(sample, first, values):
        raise ragged(sample, first, row, item)
    for column, value in zip(columns, values, strict=True):
        if isinstance(column, list):
            column.append(value)
            continue
        array = sample_leaf(value)
        if not is_array(array) or (array.shape, array.dtype) != (column.shape[1:], column.dtype):
            raise ragged(sample, first, row, item)
        column[row] = array


def collect_leaves(tree: Tree, pattern: Tree, found: list[Any]) -> bool:
    """Append the leaves of `tree` in the order of `pattern`; False if it is another structure."""
    children = children_of(tree)
    if children is None or children_of(pattern) is None:
        found.append(tree)
        return children is None and children_of(pattern) is None
    if container_type(tree) is not container_type(pattern) or len(tree) != len(pattern):
        return False
    if isinstance(pattern, dict):  # one sample may name its parts in another order
        if tree.keys() != pattern.keys():
            return False
        children = [tree[name] for name in pattern]
    parts = zip(children, children_of(pattern) or (), strict=True)
    return all(collect_leaves(child, part, found) for child, part in parts)


def ragged(sample: Tree, first: Tree, row: int, item: Item) -> SourceError:
    """Say which sample does not fit, and what can be done."""
    return SourceError(
        f"Samples of one batch (index {item.index}, epoch {item.epoch}) differ: sample {row} is "
        f"{describe(map_leaves(sample_leaf, sample))}, sample 0 is {describe(first)}. Pad or crop "
        "them to one shape, or convert them to one dtype (astype), in the source; or return whole "
        "batches and leave batch_size out."
    )


def with_objects(layout: Layout, columns: list[Any]) -> Layout:
    """Return the layout with the lists of objects in their places."""
    remaining = iter(columns)

    def fill_in(leaf: Any) -> Any:
        column = next(remaining)
        return column if isinstance(column, list) else leaf

    return Layout(map_leaves(fill_in, layout.skeleton), layout.data_bytes, b"")
