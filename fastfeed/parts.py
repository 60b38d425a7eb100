"""Batches that several workers made in parts which did not come in one piece.

Usually they do: all rows lie in the slot, and the core takes the parts as one batch. Here are the
others: the first batches of a source, before anybody knows how large a slot must be, batches that
hold objects, and parts that failed.
"""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from fastfeed._core import Batch, Lease, views
from fastfeed.errors import ArgumentError, SourceError
from fastfeed.sources.base import Source
from fastfeed.sources.samples import in_order_of
from fastfeed.structure import (
    ArrayLeaf,
    Tree,
    children_of,
    container_type,
    describe,
    is_leaf,
    leaves,
    pickle_note,
    rebuild,
)

MOST_PARTS = 16
"""The journal has a place for each ticket, and is to reach back over a thousand batches."""
PART_NS = 2_000_000
"""A part that takes less time to make is not worth its ticket, which costs 30 to 60 us."""


def most_parts(source: Source, rows: Any, workers: int) -> int:
    """Return into how many parts a batch may be divided.

    Parameters
    ----------
    source : Source
    rows : "auto" or bool
        What the user wants.
    workers : int
        The most that there may be.

    Raises
    ------
    ArgumentError
        If `rows` is something else, or the source cannot make parts of a batch.
    """
    if rows is not True and rows is not False and rows != "auto":
        raise ArgumentError('rows must be True, False or "auto".', f"rows={rows!r}")
    if rows is True and not source.divisible:
        raise ArgumentError(
            "rows=True divides each batch of samples among the workers, but of this source an "
            "item is a whole batch, or comes in a stream, or leaves samples out. Leave rows out, "
            "or feed samples: an object with __len__ and __getitem__, and batch_size.",
            "rows=True",
        )
    wanted = source.divisible and (source.slow if rows == "auto" else rows)
    return MOST_PARTS if wanted and workers > 1 else 1


class Parts:
    """Keeps parts until their batch is complete."""

    def __init__(self) -> None:
        self._pieces: dict[int, list[Batch]] = {}

    def add(self, piece: Batch) -> list[Batch]:
        """Add the next part; with the last one, return them all."""
        first = piece.sequence - piece.part
        pieces = self._pieces.setdefault(first, [])
        pieces.append(piece)
        return self._pieces.pop(first) if piece.is_last else []

    def drop(self) -> list[Batch]:
        """Forget, and return, what is left of batches that are not complete."""
        dropped = [piece for pieces in self._pieces.values() for piece in pieces]
        self._pieces.clear()
        return dropped


def note_of(lease: Lease, batch: Batch) -> bytes:
    """Return what the worker wrote behind a batch's arrays."""
    return bytes(memoryview(lease)[batch.data_bytes : batch.end])


def merge(batch: Batch, leases: Sequence[Lease]) -> tuple[Lease, bytes]:
    """Copy the rows of all parts to where the first one lies.

    Parameters
    ----------
    batch : Batch
        Joined from all of them.
    leases : sequence of Lease
        Of those that brought their own memory.

    Returns
    -------
    lease, note : Lease, bytes
        Of the whole batch.

    Raises
    ------
    SourceError
        If the parts do not belong together.
    """
    pieces = batch.pieces
    if len(leases) < len(pieces):
        raise parts_differ(batch, [])
    skeletons = [
        pickle.loads(note_of(lease, piece)) for lease, piece in zip(leases, pieces, strict=True)
    ]
    skeletons = [in_order_of(skeleton, skeletons[0]) for skeleton in skeletons]
    try:
        skeleton = join(skeletons)
    except ValueError:
        raise parts_differ(batch, skeletons) from None
    whole = arrays_of(leases[0], skeletons[0])
    for piece, lease, own in zip(pieces[1:], leases[1:], skeletons[1:], strict=True):
        rows = slice(piece.first_row, piece.first_row + piece.rows)
        for target, array in zip(whole, arrays_of(lease, own), strict=True):
            target[rows] = array[rows]
    return leases[0], pickle_note(skeleton)


def arrays_of(lease: Lease, skeleton: Tree) -> list[npt.NDArray[Any]]:
    """Return the arrays of a batch, from left to right."""
    tree = views(lease, 0, skeleton, ArrayLeaf)
    pairs = zip(leaves(skeleton), leaves(tree), strict=True)
    return [array for leaf, array in pairs if is_leaf(leaf)]


def join(skeletons: Sequence[Tree]) -> Tree:
    """Return the skeleton of the whole batch: the same arrays, and all the objects.

    Raises
    ------
    ValueError
        If the arrays are not the same.
    """
    first = skeletons[0]
    if all(map(is_column, skeletons)):
        return [value for column in skeletons for value in column]
    children = [children_of(skeleton) for skeleton in skeletons]
    if None in children:
        if any(skeleton != first for skeleton in skeletons):
            raise ValueError
        return first
    if len({looks_of(skeleton) for skeleton in skeletons}) > 1:
        raise ValueError
    return rebuild(first, [join(column) for column in zip(*children, strict=True)])


def is_column(node: Tree) -> bool:
    """Tell whether a list holds one object a sample: it is not one of the sample's own."""
    return isinstance(node, list) and not any(
        is_leaf(value) or children_of(value) is not None for value in node
    )


def looks_of(node: Tree) -> tuple[Any, ...]:
    """Return what two containers must have in common."""
    return container_type(node), len(node), tuple(node) if isinstance(node, dict) else None


def parts_differ(batch: Batch, skeletons: Sequence[Tree]) -> SourceError:
    """Say which rows are alike, and what they are, as far as it is known."""
    looks = list(map(describe, skeletons)) or [str(piece.layout) for piece in batch.pieces]
    pairs = zip(looks, batch.pieces, strict=True)
    told = []
    for look, group in itertools.groupby(pairs, lambda pair: pair[0]):
        pieces = [piece for _, piece in group]
        rows = f"rows {pieces[0].first_row} to {pieces[-1].first_row + pieces[-1].rows - 1}"
        told.append(f"{rows} are of {look}" if skeletons else rows)
    return SourceError(
        f"Samples of one batch (index {batch.index}, epoch {batch.epoch}) differ in shape, dtype "
        f"or structure: {', '.join(told)}. Pad or crop them to one shape, or convert them to one "
        "dtype (astype), in the source. They were made by different workers; with rows=False one "
        "makes the whole batch and says which sample it is."
    )
