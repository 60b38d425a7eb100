"""A batch's tree of arrays, and how it lies in a slot.

A batch is a tree of dicts, lists, tuples and named tuples. Its leaves are arrays, which become
bytes in the slot, and objects (strings, numbers, None, anything that pickles), which travel in the
*note*: the pickled skeleton of the tree, written behind the arrays. A skeleton is the same tree
with an `ArrayLeaf` in the place of each array. The parent decodes each distinct note once, so the
usual batch, which looks like the one before, costs a dictionary look-up.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastfeed._core import Memory, Pattern, views
from fastfeed.errors import ArgumentError, SourceError, StructureChanged
from fastfeed.pickling import dumps

ALIGNMENT = 64
"""Every array starts at a multiple of this: TensorFlow aborts the process on less."""

Tree = Any
"""A batch: nested dicts, lists, tuples with arrays and objects as leaves."""


@dataclass(frozen=True)
class ArraySpec:
    """Shape and dtype of one array of a batch, for a source's ``spec``.

    Parameters
    ----------
    shape : tuple of int
        With the batch dimension first.
    dtype : dtype-like
        Any fixed-size NumPy dtype, also those of ``ml_dtypes``.

    Raises
    ------
    ArgumentError
        If the shape is no tuple of sizes, or the dtype has no fixed size.
    """

    shape: tuple[int, ...]
    dtype: npt.DTypeLike

    def __post_init__(self) -> None:
        extents = self.shape if isinstance(self.shape, (tuple, list)) else (-1,)
        if not all(hasattr(extent, "__index__") and extent >= 0 for extent in extents):
            raise ArgumentError("ArraySpec needs a shape: a tuple of sizes.", repr(self.shape))
        dtype = np.dtype(self.dtype)
        if dtype.hasobject or not dtype.itemsize:
            raise ArgumentError(
                "ArraySpec needs a dtype of a fixed size: no objects, and texts with their length, "
                "for example 'U16'.",
                repr(self.dtype),
            )


class ArrayLeaf(NamedTuple):
    """An array in a skeleton: where its bytes start in the slot, and what they are."""

    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def aligned(n_bytes: int) -> int:
    """Round up to the next multiple of `ALIGNMENT`."""
    return -(-n_bytes // ALIGNMENT) * ALIGNMENT


# -- walking trees --------------------------------------------------------------------------


def container_type(node: Tree) -> type:
    """Return dict, list, tuple or the class of a named tuple; other subclasses are not kept."""
    if isinstance(node, dict):
        return dict
    if isinstance(node, list):
        return list
    return type(node) if hasattr(node, "_fields") else tuple


def rebuild(node: Tree, children: Sequence[Tree]) -> Tree:
    """Make a container like `node` (dict, list, tuple, named tuple) with other children."""
    kind = container_type(node)
    if kind is dict:
        return dict(zip(node, children, strict=True))
    return kind(children) if kind in (list, tuple) else kind(*children)


def children_of(node: Tree) -> Sequence[Tree] | None:
    """Return the children of a container, or None for a leaf."""
    if type(node) is ArrayLeaf:
        return None
    if isinstance(node, dict):
        return list(node.values())
    return node if isinstance(node, (list, tuple)) else None


def map_leaves(function: Callable[[Any], Any], tree: Tree) -> Tree:
    """Apply `function` to each leaf and keep the structure."""
    children = children_of(tree)
    if children is None:
        return function(tree)
    return rebuild(tree, [map_leaves(function, child) for child in children])


def leaves(tree: Tree) -> Iterator[Any]:
    """Yield the leaves from left to right."""
    children = children_of(tree)
    if children is None:
        yield tree
    else:
        for child in children:
            yield from leaves(child)


LISTED = 8
"""An error message shows so many items of a list."""


def describe(tree: Tree) -> str:
    """Show a tree in an error message: types, dtypes and shapes, no values."""

    def leaf_text(leaf: Any) -> str:
        if isinstance(leaf, (ArrayLeaf, np.ndarray)):
            return f"{leaf.dtype}{list(leaf.shape)}"
        return type(leaf).__name__

    children = children_of(tree)
    if children is None:
        return leaf_text(tree)
    inner = [describe(child) for child in children]
    if isinstance(tree, list) and len(inner) > LISTED:
        inner[LISTED:] = ["..."]
    if isinstance(tree, dict):
        return "{" + ", ".join(f"{k!r}: {v}" for k, v in zip(tree, inner, strict=True)) + "}"
    return ("[{}]" if isinstance(tree, list) else "({})").format(", ".join(inner))


# -- from the source's values to arrays -----------------------------------------------------


def as_leaf(value: Any) -> Any:
    """Turn array-likes of other libraries into NumPy arrays; leave objects as they are.

    Raises
    ------
    SourceError
        If the array lies on a GPU, or is masked.
    """
    if isinstance(value, np.ndarray):
        if isinstance(value, np.ma.MaskedArray):
            raise SourceError(
                "The source gave a masked array, whose mask no framework knows. Return its data "
                "and its mask as two arrays, or `.filled(...)`."
            )
        return value
    if isinstance(value, np.generic):
        return np.asarray(value)
    if hasattr(value, "__cuda_array_interface__") or is_on_device(value):
        raise SourceError(
            f"The source gave a {type(value).__module__}.{type(value).__name__} that lies on a "
            "GPU. Workers make batches in host memory and fastfeed uploads them; return NumPy "
            "arrays (for a torch tensor: `.cpu().numpy()`)."
        )
    return np.asarray(value) if hasattr(value, "__array__") else value


def is_on_device(value: Any) -> bool:
    """Tell whether a DLPack producer lies elsewhere than in host memory."""
    device = getattr(value, "__dlpack_device__", None)
    return device is not None and int(device()[0]) != 1


def is_array(leaf: Any) -> bool:
    """Tell whether a leaf's bytes can lie in a slot (arrays of objects are pickled instead)."""
    return isinstance(leaf, np.ndarray) and not leaf.dtype.hasobject


# -- layouts --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Layout:
    """A skeleton and the bytes that its arrays take.

    Attributes
    ----------
    skeleton : tree
        With `ArrayLeaf` and objects as leaves.
    data_bytes : int
        From the first array's start to the last one's end, rounded up to `ALIGNMENT`.
    note : bytes
        The pickled skeleton.
    common : bytes
        What workers that make parts of one batch must agree on, if that is not the note: their
        samples may name their parts in different orders.
    """

    skeleton: Tree
    data_bytes: int
    note: bytes = field(repr=False)
    common: bytes = field(default=b"", repr=False)

    @classmethod
    def of(cls, tree: Tree) -> Layout:
        """Lay out the arrays and `ArraySpec` leaves of `tree` one behind the other."""
        end = 0

        def place(leaf: Any) -> Any:
            nonlocal end
            if not (is_array(leaf) or isinstance(leaf, ArraySpec)):
                return leaf
            placed = ArrayLeaf(end, tuple(leaf.shape), np.dtype(leaf.dtype))
            end = aligned(end + leaf_bytes(placed))
            return placed

        skeleton = map_leaves(place, tree)
        return cls(skeleton, end, pickle_note(skeleton))

    def views(self, memory: Memory, start: int) -> Tree:
        """Return the tree with writable arrays over `memory`, from `start` on."""
        return views(memory, start, self.skeleton, ArrayLeaf)

    def with_rows(self, rows: int) -> Layout:
        """Return the layout of a batch whose arrays end after `rows` rows, at the same places."""

        def cut(leaf: Any) -> Any:
            if not (is_leaf(leaf) and leaf.shape):
                return leaf
            return leaf._replace(shape=(rows, *leaf.shape[1:]))

        skeleton = map_leaves(cut, self.skeleton)
        return Layout(skeleton, self.data_bytes, pickle_note(skeleton))


def pickle_note(skeleton: Tree) -> bytes:
    """Pickle a skeleton; what cannot be pickled is the source's mistake.

    Raises
    ------
    SourceError
        Naming the object that cannot be pickled.
    """
    try:
        return dumps(skeleton)
    except Exception as error:
        raise SourceError(
            f"A batch holds an object that cannot travel between processes: {error}. Its "
            f"structure: {describe(skeleton)}. Return arrays, or objects that pickle."
        ) from error


def is_leaf(leaf: Any) -> bool:
    """Tell whether a leaf of a skeleton stands for an array."""
    return type(leaf) is ArrayLeaf


def leaf_bytes(leaf: ArrayLeaf) -> int:
    """Bytes that an array takes, without padding."""
    size = leaf.dtype.itemsize
    for extent in leaf.shape:
        size *= extent
    return size


class Layouts:
    """Remembers the layouts of the batches seen, by what they look like.

    Worker side: walking and pickling a skeleton costs more than copying a small batch, and nearly
    every batch looks like one before.

    Attributes
    ----------
    pattern : Pattern or None
        Copies batches that look like the last one that held arrays alone.
    """

    LIMIT = 64

    def __init__(self) -> None:
        self.pattern: Pattern | None = None
        self._known: dict[Any, Layout] = {}

    def find(self, batch: Tree) -> tuple[Layout, list[np.ndarray]]:
        """Return the layout of `batch` and its arrays, in the order of the layout's leaves."""
        arrays: list[np.ndarray] = []
        key = self._key(batch, arrays)
        layout = self._known.get(key) if key is not None else None
        if layout is None:
            layout = Layout.of(map_leaves(as_leaf, batch))
            if key is not None and len(self._known) < self.LIMIT:
                self._known[key] = layout
        if key is not None:
            self.pattern = Pattern(layout.skeleton, layout.data_bytes, layout.note)
        return layout, arrays

    def _key(self, node: Tree, arrays: list[np.ndarray]) -> Any:
        """Collect the arrays; return a hashable picture of the tree, None if it holds objects."""
        children = children_of(node)
        if children is not None:
            names = tuple(node) if isinstance(node, dict) else None
            keys = [self._key(child, arrays) for child in children]
            return None if None in keys else (container_type(node), names, tuple(keys))
        leaf = as_leaf(node)
        if not is_array(leaf):
            return None
        arrays.append(leaf)
        return leaf.shape, leaf.dtype


class Notes:
    """Decodes the notes of finished batches; parent side.

    The first batch fixes the structure: later ones may have other sizes, never another tree, dtype
    or number of dimensions, because a model could not tell the difference from a mistake.
    """

    LIMIT = 256

    def __init__(self) -> None:
        self._decoded: dict[bytes, Tree] = {}
        self._first: Tree = None
        self._picture: Any = None

    def decode(self, note: bytes, index: int) -> Tree:
        """Return the skeleton that a worker wrote for item `index`.

        Raises
        ------
        StructureChanged
            If it differs from the first batch's in more than sizes.
        """
        skeleton = self._decoded.get(note)
        if skeleton is None:
            skeleton = pickle.loads(note)
            self._compare(skeleton, index)
            if len(self._decoded) < self.LIMIT and all(map(is_leaf, leaves(skeleton))):
                self._decoded[note] = skeleton
        return skeleton

    def is_known(self, note: bytes) -> bool:
        """Tell whether the note always means the same skeleton: it holds no objects."""
        return note in self._decoded

    def _compare(self, skeleton: Tree, index: int) -> None:
        picture = picture_of(skeleton)
        if self._picture is None:
            self._first, self._picture = skeleton, picture
        elif picture != self._picture:
            raise StructureChanged(
                f"The batch of index {index} has another structure than the first one: "
                f"{describe(skeleton)} instead of {describe(self._first)}. Only sizes may change "
                "from batch to batch; make the source return the same tree, dtypes and number of "
                "dimensions each time."
            )


def picture_of(skeleton: Tree) -> Any:
    """Return what must not change between batches, comparable with ``==``.

    The length of texts is a size, and so is that of a list of objects: both follow the batch.
    """
    children = children_of(skeleton)
    if children is None:
        return dtype_picture(skeleton) if is_leaf(skeleton) else "object"
    pictures = [picture_of(child) for child in children]
    if all(picture == "object" for picture in pictures):
        return "object"
    names = skeleton if isinstance(skeleton, dict) else range(len(pictures))
    return container_type(skeleton).__name__, dict(zip(names, pictures, strict=True))


def dtype_picture(leaf: ArrayLeaf) -> tuple[str, int]:
    """Return the dtype, of texts without their length, and the number of dimensions."""
    dtype = leaf.dtype
    return dtype.kind if dtype.kind in "US" else str(dtype), len(leaf.shape)
