"""Batches as a `tf.data.Dataset`, for what takes nothing else.

That is tf_keras, distribution strategies, and pipelines of `tf.data` operations. Each batch is a
NumPy view under a lease, which TensorFlow takes over without a copy because it starts at a multiple
of 64 bytes; the lease ends with the last tensor that uses it. A batch costs some 0.4 ms whatever
its size, where a DLPack capsule costs 3 us: hence only for those.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fastfeed.errors import ArgumentError, LoaderClosed, SourceError
from fastfeed.structure import Tree, children_of, container_type, describe, leaves, map_leaves

Begin = Callable[[], Iterator[Tree]]
"""Starts a pass over the batches."""
Count = Callable[[], int]
"""Returns how many passes were started, or ended in another way, by whomever."""

_END = object()


def require_numpy(framework: str) -> None:
    """Refuse a loader that hands out a framework's tensors.

    Raises
    ------
    ArgumentError
        It does.
    """
    if framework != "numpy":
        raise ArgumentError(
            "as_tf_dataset() makes tensors itself, in host memory: leave out framework and device.",
            f'framework="{framework}"',
        )


def dataset(
    begin: Begin,
    cardinality: int | None = None,
    output_signature: Tree = None,
    count: Count = lambda: 0,
) -> Any:
    """Make a dataset of which each ``iter()`` is one pass.

    Parameters
    ----------
    begin : callable
        Called when an iterator is asked for its first batch, in a thread of TensorFlow's. Without
        `output_signature` also once here, for one batch, with which the first iterator begins.
    cardinality : int, optional
        Batches of a pass, where that is known.
    output_signature : tree of tf.TypeSpec, optional
        What batches look like. Default: as the first one, with an open batch dimension.
    count : callable
        Tells whether the pass of that first one still runs when it is to be handed out.

    Returns
    -------
    tf.data.Dataset
        With its `Passes` as an attribute ``fastfeed_passes``.

    Raises
    ------
    ArgumentError
        TensorFlow is not installed.
    SourceError
        There is no batch, or TensorFlow has no dtype for an array of it.
    """
    try:
        import tensorflow as tf
    except ImportError as error:
        raise ArgumentError(
            f"A tf.data.Dataset needs TensorFlow, which cannot be imported here ({error}). "
            "Install it, for example: pip install 'fastfeed[tensorflow]'."
        ) from error
    passes = Passes(begin, count)
    if output_signature is None:
        output_signature = signature_of(passes.peek())
    shapes = [getattr(spec, "shape", None) for spec in leaves(output_signature)]
    passes_of_dataset = weakref.ref(passes)

    def batches() -> Iterator[Tree]:
        passes = passes_of_dataset()
        if passes is None:
            raise LoaderClosed("The tf.data.Dataset of this iterator is gone; keep it.")
        for batch in passes.batches():
            tree = tensor_tree(batch)
            check_shapes(tree, shapes)
            yield tree

    data = tf.data.Dataset.from_generator(batches, output_signature=output_signature)
    if cardinality is not None:
        data = data.apply(tf.data.experimental.assert_cardinality(cardinality))
    data = data.with_options(without_prefetch())
    # TensorFlow never lets go of `batches`, so the dataset keeps what that reads, as do those that
    # are derived from it, and their iterators. Otherwise no loader would ever be collected.
    data.fastfeed_passes = passes
    return data


class Passes:
    """Begins and reads passes, one at a time, in whichever threads TensorFlow reads them."""

    def __init__(self, begin: Begin, count: Count) -> None:
        self._begin = begin
        self._count = count
        self._peeked: Iterator[Tree] | None = None
        self._peeked_at = 0
        self._alone = threading.Lock()  # a left iterator may still be read, by a prefetch()

    def peek(self) -> Tree:
        """Begin the first pass and return its first batch, which it then gives again.

        Raises
        ------
        SourceError
            There is none.
        """
        batches = self._begin()
        first = next(batches, _END)
        if first is _END:
            raise SourceError(
                "The source gave no batch at all, so it is not known what its batches look like."
            )
        self._peeked = itertools.chain([first], batches)
        self._peeked_at = self._count()
        return first

    @property
    def ahead(self) -> int:
        """Batches that were only looked at, and are still to be handed out."""
        return int(self._peeked is not None and self._peeked_at == self._count())

    def batches(self) -> Iterator[Tree]:
        """Yield the batches of one pass."""
        with self._alone:
            peeked, self._peeked = self._peeked if self.ahead else None, None
            one_pass = peeked or self._begin()
        while True:
            with self._alone:
                batch = next(one_pass, _END)
            if batch is _END:
                return
            yield batch


def signature_of(batch: Tree) -> Tree:
    """Return what batches look like: as this one, with an open batch dimension.

    Raises
    ------
    SourceError
        TensorFlow has no dtype for an array of it.
    """
    return map_leaves(open_spec, tensor_tree(batch))


def without_prefetch() -> Any:
    """Return options that have TensorFlow add no prefetch() of its own.

    The workers are ahead already, and no more batches than asked for are to be on the way.
    """
    import tensorflow as tf

    options = tf.data.Options()
    options.experimental_optimization.inject_prefetch = False
    return options


def tensor_tree(batch: Tree) -> Tree:
    """Return a batch as `tf.data` takes it: dicts and tuples of arrays.

    A list of objects becomes one array, other lists tuples. The ``None`` of ``(x, y, None)`` goes.
    """
    if isinstance(batch, (tuple, list)) and len(batch) > 1 and batch[-1] is None:
        batch = tuple(batch[:-1])
    return _as_arrays(batch)


def _as_arrays(tree: Tree) -> Tree:
    children = children_of(tree)
    if children is None or (isinstance(tree, list) and tree and all(map(_is_object, tree))):
        return _as_array(tree)
    parts = [_as_arrays(child) for child in children]
    kind = container_type(tree)
    if kind is dict:
        return dict(zip(tree, parts, strict=True))
    return tuple(parts) if kind in (list, tuple) else kind(*parts)


def _is_object(value: Any) -> bool:
    return children_of(value) is None and not isinstance(value, np.ndarray)


def _as_array(value: Any) -> np.ndarray[Any, Any]:
    array = np.asarray(value)
    if array.dtype.hasobject and not all(isinstance(item, (str, bytes)) for item in array.flat):
        raise SourceError(
            "tf.data takes arrays, numbers and texts only; leave other objects out of the batch. "
            f"Received: {describe(value)}"
        )
    return array


def open_spec(array: np.ndarray[Any, Any]) -> Any:
    """Return the ``tf.TensorSpec`` of an array whose first dimension may change.

    Raises
    ------
    SourceError
        TensorFlow has no such dtype.
    """
    import tensorflow as tf

    shape = (None, *array.shape[1:]) if array.ndim else ()
    if array.dtype.kind in "USO":
        return tf.TensorSpec(shape, tf.string)
    try:
        return tf.TensorSpec(shape, tf.as_dtype(array.dtype))
    except TypeError:
        raise SourceError(
            f"TensorFlow has no dtype for an array of {array.dtype}; convert it in the source."
        ) from None


def check_shapes(tree: Tree, shapes: list[Any]) -> None:
    """Raise unless the arrays of a batch have these shapes.

    Raises
    ------
    SourceError
        An inner size differs from the first batch's.
    """
    for array, shape in zip(leaves(tree), shapes, strict=True):
        if shape is not None and not shape.is_compatible_with(array.shape):
            raise SourceError(
                f"The batch {describe(tree)} has an array of shape {list(array.shape)} where the "
                f"dataset has {shape}. Pad the arrays to one shape, or make the dataset with "
                "output_signature=..., a tree of tf.TensorSpec with None for sizes that change."
            )
