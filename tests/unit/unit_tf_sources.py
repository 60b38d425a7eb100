"""Sources for test_tf_dataset. Workers import this module: TensorFlow would cost each 4 s."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


class Pictures:
    """Ten batches of six; the last one has four."""

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        rows = 6 if index < 9 else 4
        return np.full((rows, 3), index, "float32"), np.arange(rows)


class Failing(Pictures):
    """Fails at index 5."""

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        if index == 5:
            raise LookupError("no picture number 5")
        return super().__getitem__(index)


def four_pictures() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The first batches of `Pictures`, as a generator."""
    pictures = Pictures()
    yield from (pictures[index] for index in range(4))
