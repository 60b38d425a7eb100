"""``class_weight``, turned into one weight a sample.

Keras leaves ``class_weight`` out without a word when it is given a data adapter, so fastfeed
applies it itself. The rules are those of Keras (`class_weight_to_sample_weights`), but a look-up
for all samples at once in place of a loop over them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from fastfeed.errors import ArgumentError, SourceError

Weights = npt.NDArray[np.floating[Any]]


class ClassWeights:
    """Weighs the samples of batches by their classes.

    Parameters
    ----------
    class_weight : mapping of int to float
        The weight of each class. A class that it leaves out has weight 1, as in Keras.
    dtype : dtype-like
        Floating type of the weights: Keras's ``floatx``.
    convert : callable
        Turns the finished weights (`numpy.ndarray`) into what the training step takes.

    Raises
    ------
    ArgumentError
        `class_weight` is empty or maps something else than whole numbers to numbers.
    """

    def __init__(
        self,
        class_weight: Mapping[int, float],
        dtype: npt.DTypeLike = "float32",
        convert: Callable[[Weights], Any] = lambda weights: weights,
    ) -> None:
        _check(class_weight)
        classes = sorted(class_weight)
        self._classes = np.array(classes, dtype=np.int64)
        self._weights = np.array([class_weight[c] for c in classes], dtype=dtype)
        self._convert = convert

    def of_labels(self, labels: Any) -> Weights:
        """Return the weight of each label.

        Parameters
        ----------
        labels : array-like
            Class numbers, (n,) or (n, 1), rounded where they are floating; or one-hot or
            probabilities, (n, classes). More dimensions in the middle are kept.

        Returns
        -------
        numpy.ndarray
            (n,), or the shape of `labels` without its last dimension.
        """
        labels = np.asarray(labels)
        if labels.ndim > 1:
            one_hot = labels.shape[-1] != 1
            labels = labels.argmax(axis=-1) if one_hot else labels.squeeze(axis=-1)
        classes = np.round(labels).astype(np.int64)
        nearest = np.searchsorted(self._classes, classes).clip(max=self._classes.size - 1)
        known = self._classes[nearest] == classes
        weights: Weights = np.where(known, self._weights[nearest], self._weights.dtype.type(1))
        return weights

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
            weights = _multiply(weights, np.asarray(given[0]))
        return (x, y, self._convert(weights))


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


def _multiply(weights: Weights, given: npt.NDArray[Any]) -> Weights:
    """Multiply (n, ...) by (n, ...) sample for sample, where one has fewer dimensions.

    Without the added dimensions (n,) times (n, 1) would be spread to (n, n).
    """
    ndim = max(weights.ndim, given.ndim)
    shaped = [array.reshape(array.shape + (1,) * (ndim - array.ndim)) for array in (weights, given)]
    return (shaped[0] * shaped[1]).astype(weights.dtype, copy=False)


def _describe(value: Any) -> str:
    """Name the type of `value` and, for a container, its length."""
    size = f" of {len(value)}" if isinstance(value, (dict, tuple, list)) else ""
    return type(value).__name__ + size
