"""How samples lie in a cache, remembered by what they look like."""

from __future__ import annotations

import io
import pickle
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastfeed.structure import (
    ArrayLeaf,
    ArraySpec,
    Layout,
    Layouts,
    Tree,
    children_of,
    container_type,
    is_leaf,
    leaves,
    map_leaves,
)

Array = npt.NDArray[Any]


class Look(NamedTuple):
    """How the arrays of samples that look alike lie behind each other.

    Attributes
    ----------
    note : bytes
        The pickled skeleton; equal for samples of arrays that look alike, from any process.
    is_shared : bool
        There are no objects in it, so that other samples have the same.
    """

    note: bytes
    data_bytes: int
    offsets: tuple[int, ...]
    is_shared: bool


class Looks:
    """Finds the look of samples, and of rows that samples are to be copied to."""

    LIMIT = 64

    def __init__(self) -> None:
        self._layouts = Layouts()
        self._of_samples: dict[bytes, Look] = {}
        self._of_rows: dict[Any, Look] = {}
        self._skeletons: dict[bytes, Tree] = {}

    def of(self, sample: Tree) -> tuple[Look, list[Array]]:
        """Return the look of a sample, and its arrays in the order of `offsets`."""
        layout, arrays = self._layouts.find(sample)
        look = self._of_samples.get(layout.note)
        if look is None:
            look = look_of(layout)
            if look.is_shared and len(self._of_samples) < self.LIMIT:
                self._of_samples[layout.note] = look
        return look, arrays

    def of_rows(self, out: Tree) -> Look | None:
        """Return the look of samples that could be rows of `out`; None: no samples could."""
        picture = picture_of_rows(out)
        look = self._of_rows.get(picture)
        if look is None and picture is not None:
            row = map_leaves(lambda array: ArraySpec(array.shape[1:], array.dtype), out)
            look = look_of(Layout.of(row))
            if len(self._of_rows) < self.LIMIT:
                self._of_rows[picture] = look
        return look

    def skeleton(self, note: bytes) -> Tree:
        """Return what a note says."""
        skeleton = self._skeletons.get(note)
        if skeleton is None:
            skeleton = pickle.loads(note)
            if len(self._skeletons) < self.LIMIT and all(map(is_leaf, leaves(skeleton))):
                self._skeletons[note] = skeleton
        return skeleton


def look_of(layout: Layout) -> Look:
    """Return how samples of a layout lie in a cache."""
    found = list(leaves(layout.skeleton))
    arrays: list[ArrayLeaf] = [leaf for leaf in found if is_leaf(leaf)]
    is_shared = len(arrays) == len(found)
    note = plain_note(layout) if is_shared else layout.note
    return Look(note, layout.data_bytes, tuple(leaf.offset for leaf in arrays), is_shared)


def plain_note(layout: Layout) -> bytes:
    """Pickle a skeleton so that equal ones give equal bytes: without references to what came
    before, which depend on whether two equal parts are one object.
    """
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer, protocol=5)
    pickler.fast = True
    try:
        pickler.dump(layout.skeleton)
    except Exception:  # a named tuple of a script, which cloudpickle can send
        return layout.note
    return buffer.getvalue()


def picture_of_rows(out: Tree) -> Any:
    """Return what rows of `out` look like, hashable; None if a leaf is no array of rows."""
    children = children_of(out)
    if children is None:
        is_rows = isinstance(out, np.ndarray) and out.ndim > 0
        return (out.shape[1:], out.dtype) if is_rows else None
    pictures = tuple(map(picture_of_rows, children))
    names = tuple(out) if isinstance(out, dict) else None
    return None if None in pictures else (container_type(out), names, pictures)
