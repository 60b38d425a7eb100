"""Mixup: each sample is mixed with another one of its batch (Zhang et al., ICLR 2018)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from fastfeed.devices.transforms import dtypes
from fastfeed.errors import ArgumentError


class Mixing(NamedTuple):
    """How a batch is mixed: ``own * batch[i] + other * batch[(i + shift) % samples]``."""

    own: float
    other: float
    shift: int


@dataclass(frozen=True)
class Mixup:
    """Mix each sample, and its label, with another one of the batch.

    A batch has one weight, drawn from Beta(alpha, alpha), and one rotation, by which each sample's
    partner is found. Computed in float32 (float64 for such arrays) from the results of the ops,
    and rounded to their dtype.

    Parameters
    ----------
    alpha : float
        Near 0 most batches are mixed little, at 1 all weights are as likely.

    Raises
    ------
    ArgumentError
        If alpha is not positive.
    """

    alpha: float

    def __post_init__(self) -> None:
        alpha = self.alpha
        if not isinstance(alpha, Real) or not 0 < alpha < math.inf:
            raise ArgumentError("Mixup's alpha must be a positive number.", repr(alpha))

    def draw(self, key: int, samples: int) -> Mixing:
        """Return how the batch of `key` is mixed; one sample alone has itself as partner."""
        # Another key than any source's own random numbers have: those are (seed, index).
        generator = np.random.Generator(np.random.Philox(key=key))
        own = float(generator.beta(self.alpha, self.alpha))
        shift = int(generator.integers(1, samples)) if samples > 1 else 0
        return Mixing(own, 1 - own, shift)


def mixed(array: np.ndarray, mixing: Mixing) -> np.ndarray:
    """Mix with NumPy."""
    numbers = dtypes.numbers(array)
    own, other = numbers.dtype.type(mixing.own), numbers.dtype.type(mixing.other)
    return dtypes.cast(own * numbers + other * np.roll(numbers, -mixing.shift, 0), array.dtype)


def c_mixed(dtype: np.dtype[Any]) -> str:
    """Return the C expression of `mixed`, from the values ``v`` and ``partner``."""
    number = dtypes.number_dtype(dtype)
    kind = dtypes.c_type(number)
    v, partner = dtypes.c_number(dtype, "v"), dtypes.c_number(dtype, "partner")
    return dtypes.c_cast(number, dtype, f"(({kind})own * {v} + ({kind})other * {partner})")
