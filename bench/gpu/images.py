"""Batches of uint8 images with labels, made beforehand; with ``fill`` or without."""

from __future__ import annotations

from typing import Any

import numpy as np

import fastfeed

KINDS_OF_BATCH = 8
CLASSES = 1000


class Images:
    """Pairs of images (n, side, side, 3) uint8 and labels (n,) int64, by ``__getitem__``.

    Parameters
    ----------
    images, side : int
    length : int
        Batches an epoch.
    """

    def __init__(self, images: int, side: int, length: int):
        rng = np.random.default_rng(0)
        self.length = length
        first = rng.integers(0, 256, (images, side, side, 3), np.uint8)
        # A shift of one byte value makes the batches differ everywhere at little cost.
        self.images = [first + np.uint8(k) for k in range(KINDS_OF_BATCH)]
        self.labels = [rng.integers(0, CLASSES, images) for _ in range(KINDS_OF_BATCH)]

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        if not 0 <= index < self.length:
            raise IndexError(f"batch {index} of {self.length}")
        return self.images[index % KINDS_OF_BATCH], self.labels[index % KINDS_OF_BATCH]


class ImagesFill(Images):
    """The same, copied to where the caller says."""

    @property
    def spec(self) -> tuple[fastfeed.ArraySpec, fastfeed.ArraySpec]:
        """The layout of a batch."""
        images, labels = self.images[0], self.labels[0]
        return (
            fastfeed.ArraySpec(images.shape, images.dtype),
            fastfeed.ArraySpec(labels.shape, labels.dtype),
        )

    def fill(self, index: int, out: tuple[np.ndarray, np.ndarray], rng: Any) -> None:
        """Write batch `index` into `out`."""
        images, labels = self[index]
        fastfeed.copyto(out[0], images)
        np.copyto(out[1], labels)
