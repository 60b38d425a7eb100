"""What a batch holds beside its pictures: labels as the class modes of Keras want them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt

from fastfeed.imaging.found import Found, Several
from fastfeed.structure import ArraySpec

Array = npt.NDArray[Any]
Index = npt.NDArray[np.int64]


class Target(ABC):
    """One array of a batch.

    Attributes
    ----------
    spec : ArraySpec
        Of one sample.
    """

    spec: ArraySpec

    @abstractmethod
    def put(self, samples: Index, out: Array) -> None:
        """Write what belongs to these samples."""


class Values(Target):
    """A row of an array for each sample: class numbers, numbers, weights."""

    def __init__(self, values: Array, dtype: npt.DTypeLike | None = None) -> None:
        self._values = values
        self.spec = ArraySpec(values.shape[1:], values.dtype if dtype is None else dtype)

    def put(self, samples: Index, out: Array) -> None:
        """Gather the rows."""
        out[...] = self._values[samples]


class OneHot(Target):
    """1 for the sample's class and 0 for the others."""

    def __init__(self, numbers: Array, n_classes: int, dtype: npt.DTypeLike) -> None:
        self._numbers = numbers
        self.spec = ArraySpec((n_classes,), dtype)

    def put(self, samples: Index, out: Array) -> None:
        """Set the ones."""
        out[...] = 0
        out[np.arange(len(samples)), self._numbers[samples]] = 1


class ManyHot(Target):
    """1 for each of the sample's classes."""

    def __init__(self, several: Several, n_classes: int, dtype: npt.DTypeLike) -> None:
        self._several = several
        self.spec = ArraySpec((n_classes,), dtype)

    def put(self, samples: Index, out: Array) -> None:
        """Set the ones."""
        numbers, starts = self._several
        out[...] = 0
        for row, sample in enumerate(samples):
            out[row, numbers[starts[sample] : starts[sample + 1]]] = 1


def targets_of(found: Found, class_mode: str | None, dtype: npt.DTypeLike) -> list[Target]:
    """Return the labels' arrays: several for "multi_output", none for "input" and None.

    Parameters
    ----------
    dtype : dtype-like
        Of labels that are classes; others keep their own.
    """
    if class_mode in ("raw", "multi_output"):
        return [Values(values) for values in found.values or ()]
    if class_mode in ("input", None):
        return []
    numbers, n_classes = found.numbers, len(found.class_indices or ())
    if isinstance(numbers, Several):
        return [ManyHot(numbers, n_classes, dtype)]
    assert numbers is not None
    if class_mode == "categorical":
        return [OneHot(numbers, n_classes, dtype)]
    return [Values(numbers, dtype)]
