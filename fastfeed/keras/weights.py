"""``class_weight``, turned into one weight a sample.

Keras leaves ``class_weight`` out without a word when it is given a data adapter, so fastfeed
applies it itself. The rules are those of Keras (`class_weight_to_sample_weights`), but a look-up
for all samples at once in place of a loop over them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from fastfeed.errors import ArgumentError, SourceError


@dataclass(frozen=True)
class Arrays:
    """Who computes with whole arrays: NumPy, or Keras where the labels lie on a GPU already.

    Attributes
    ----------
    ops : module
        Functions by NumPy's names.
    asarray : callable
        Makes an array.
    cast : callable
        Of an array and a dtype.
    """

    ops: Any
    asarray: Callable[[Any], Any]
    cast: Callable[[Any, Any], Any]


OF_NUMPY = Arrays(np, np.asarray, np.ndarray.astype)


def of_keras() -> Arrays:
    """Return Keras's: labels on a GPU stay there, or each step would wait for its own labels."""
    from keras import ops

    return Arrays(ops, ops.convert_to_tensor, ops.cast)


class ClassWeights:
    """Weighs the samples of batches by their classes.

    Parameters
    ----------
    class_weight : mapping of int to float
        The weight of each class. A class that it leaves out has weight 1, as in Keras.
    dtype : dtype-like
        Floating type of the weights: Keras's ``floatx``.
    convert : callable
        Turns the finished weights into what the training step takes.
    arrays : Arrays
        Who computes them.

    Raises
    ------
    ArgumentError
        `class_weight` is empty or maps something else than whole numbers to numbers.
    """

    def __init__(
        self,
        class_weight: Mapping[int, float],
        dtype: npt.DTypeLike = "float32",
        convert: Callable[[Any], Any] = lambda weights: weights,
        arrays: Arrays = OF_NUMPY,
    ) -> None:
        _check(class_weight)
        classes = sorted(class_weight)
        weights = [class_weight[c] for c in classes]
        self._classes = arrays.asarray(np.array(classes, dtype=np.int64))
        self._weights = arrays.asarray(np.array(weights, dtype=dtype))
        self._convert = convert
        self._arrays = arrays

    def of_labels(self, labels: Any) -> Any:
        """Return the weight of each label.

        Parameters
        ----------
        labels : array-like
            Class numbers, (n,) or (n, 1), rounded where they are floating; or one-hot or
            probabilities, (n, classes). More dimensions in the middle are kept.

        Returns
        -------
        numpy.ndarray or Keras's tensor
            (n,), or the shape of `labels` without its last dimension.
        """
        ops, cast = self._arrays.ops, self._arrays.cast
        labels = self._arrays.asarray(labels)
        if len(labels.shape) > 1:
            one_hot = labels.shape[-1] != 1
            labels = ops.argmax(labels, axis=-1) if one_hot else ops.squeeze(labels, axis=-1)
        if "float" in str(labels.dtype):
            labels = ops.round(labels)
        classes = cast(labels, self._classes.dtype)
        flat = ops.ravel(classes)  # TensorFlow searches for no others
        last = self._classes.shape[0] - 1
        nearest = ops.minimum(ops.searchsorted(self._classes, flat), last)
        known = ops.equal(ops.take(self._classes, nearest), flat)
        weights = ops.where(known, ops.take(self._weights, nearest), 1)
        return ops.reshape(weights, tuple(classes.shape))

    def apply(self, batch: Any) -> Any:
        """Return the batch ``(x, y)`` or ``(x, y, sample_weight)`` with the weights in it.

        A weight that the batch carries itself is multiplied with that of the class.

        Raises
        ------
        SourceError
            The batch has no labels, or those of more than one output.
        """
        if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
            raise SourceError(
                "class_weight needs batches (x, y) or (x, y, sample_weight), and this source gives "
                f"others. Give the labels with each batch, or leave class_weight out. "
                f"Received: {_describe(batch)}"
            )
        x, y, *given = batch
        if isinstance(y, (dict, tuple, list)):
            raise SourceError(
                "class_weight works for models with one output only: it cannot tell which of the "
                "outputs has the classes. Give a sample_weight for each output with each batch "
                f"instead. Received: y={_describe(y)}"
            )
        weights = self.of_labels(y)
        if given and given[0] is not None:
            weights = self._multiply(weights, self._arrays.asarray(given[0]))
        return (x, y, self._convert(weights))

    def _multiply(self, weights: Any, given: Any) -> Any:
        """Multiply (n, ...) by (n, ...) sample for sample, where one has fewer dimensions.

        Without the added dimensions (n,) times (n, 1) would be spread to (n, n).
        """
        ops = self._arrays.ops
        shapes = [tuple(array.shape) for array in (weights, given)]
        ndim = max(map(len, shapes))
        one, other = (
            ops.reshape(array, shape + (1,) * (ndim - len(shape)))
            for array, shape in zip((weights, given), shapes, strict=True)
        )
        return self._arrays.cast(ops.multiply(one, other), weights.dtype)


def _check(class_weight: Mapping[int, float]) -> None:
    """Raise ArgumentError unless `class_weight` maps classes to weights."""
    fits = (
        isinstance(class_weight, Mapping)
        and class_weight
        and all(
            isinstance(c, Real) and c == int(c) and isinstance(w, Real)
            for c, w in class_weight.items()
        )
    )
    if not fits:
        raise ArgumentError(
            "class_weight must map class numbers to weights, as {0: 1.0, 1: 2.5}.",
            f"class_weight={class_weight!r}",
        )


def _describe(value: Any) -> str:
    """Name the type of `value` and, for a container, its length."""
    size = f" of {len(value)}" if isinstance(value, (dict, tuple, list)) else ""
    return type(value).__name__ + size
