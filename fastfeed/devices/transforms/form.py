"""What an op is given and what it gives: shape, dtype, and which axis holds the channels."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Form:
    """An array between two ops.

    Attributes
    ----------
    shape : tuple of int
        With the samples first.
    dtype : numpy.dtype
    channels : int or None
        The axis along which values per channel change; None if there is none.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    channels: int | None

    def __str__(self) -> str:
        return f"{self.dtype}{list(self.shape)}"

    @property
    def sample_size(self) -> int:
        """Elements of one sample."""
        return prod(self.shape[1:])

    @property
    def n_channels(self) -> int:
        """How many values an op per channel needs."""
        return 1 if self.channels is None else self.shape[self.channels]

    @property
    def sides(self) -> tuple[int, int]:
        """The axes of an image's height and width."""
        height, width = (axis for axis in range(1, len(self.shape)) if axis != self.channels)
        return height, width


def image_form(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Form:
    """Return the form of images: NHWC, or NHW without channels."""
    return Form(shape, dtype, 3 if len(shape) == 4 else None)


def label_form(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Form:
    """Return the form of labels: values per channel change along the last axis."""
    return Form(shape, dtype, len(shape) - 1 if len(shape) > 1 else None)
