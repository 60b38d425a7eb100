"""A work's batches with labels, as Keras's ``fit`` wants them; apart from Keras, so that no worker
has to import that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bench.sources import Source

if TYPE_CHECKING:
    import fastfeed


class Labelled:
    """A work's batches, with labels of 0."""

    def __init__(self, source: Source):
        self.source = source
        self.labels = np.zeros((source.shape[0], 1), "float32")

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return self.source[index], self.labels

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Return all batches as two arrays."""
        batches = [self.source[index] for index in range(len(self))]
        return np.concatenate(batches), np.concatenate([self.labels] * len(self))


class LabelledFill(Labelled):
    """The same, for sources with ``fill``."""

    @property
    def spec(self) -> tuple[fastfeed.ArraySpec, fastfeed.ArraySpec]:
        """The layout of a batch."""
        from fastfeed import ArraySpec

        return self.source.spec, ArraySpec(self.labels.shape, self.labels.dtype)

    def fill(self, index: int, out: tuple[np.ndarray, np.ndarray], rng: Any) -> None:
        """Write batch `index` into `out`."""
        self.source.fill(index, out[0], rng)
        out[1][:] = self.labels
