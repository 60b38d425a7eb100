"""What is loaded: sources of batches, the same for every loader.

An item is a new array each time, as a user's own source makes one: a loader whose threads could
hand out the source's own array would have moved nothing. ``fill`` writes the same bytes to memory
that is given.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastfeed.benchmark.jpeg import Photos
from fastfeed.errors import ArgumentError
from fastfeed.structure import ArraySpec

IMAGE = (224, 224, 3)
MOST_KINDS = 8
KINDS_BYTES = 160 << 20
"""Prepared batches together: more than most caches hold, little enough to be sent to workers."""
LOAD_SECONDS, STEP_SECONDS = 0.016, 0.010


class Prepared:
    """Copies of batches made beforehand: the rest of the work is moving them.

    Parameters
    ----------
    shape : tuple of int
        Of a batch.
    dtype : str
    length : int
        Batches an epoch.
    pause : float
        Seconds asleep before each batch, as if a disk or a network were waited for.
    """

    def __init__(self, shape: tuple[int, ...], dtype: str, length: int, pause: float = 0.0):
        self._length, self._pause = length, pause
        self.spec = ArraySpec(shape, dtype)
        first: np.ndarray = np.random.default_rng(0).integers(0, 200, shape, np.uint8).astype(dtype)
        kinds = int(np.clip(KINDS_BYTES // first.nbytes, 2, MOST_KINDS))
        # A shift by one makes the batches differ everywhere at little cost.
        self._kinds: list[np.ndarray] = [
            first + np.asarray(kind, first.dtype) for kind in range(kinds)
        ]

    def __len__(self) -> int:
        return self._length

    def _kind(self, index: int) -> np.ndarray:
        if not 0 <= index < self._length:
            raise IndexError(f"batch {index} of {self._length}")
        if self._pause:
            time.sleep(self._pause)
        return self._kinds[index % len(self._kinds)]

    def __getitem__(self, index: int) -> np.ndarray:
        return self._kind(index).copy()

    def fill(self, index: int, out: np.ndarray, rng: np.random.Generator) -> None:
        """Write batch `index` into `out`."""
        np.copyto(out, self._kind(index))


@dataclass(frozen=True)
class Work:
    """One kind of work.

    Parameters
    ----------
    title : str
        In the tables; ``{n}`` stands for the batch size.
    batch_size : int
        Samples a batch unless the user says otherwise.
    make : callable
        Takes the batch size and the number of batches an epoch, gives the source.
    step_seconds : float
        How long the consumer takes for a batch.
    """

    title: str
    batch_size: int
    make: Callable[[int, int], Any]
    step_seconds: float = 0.0


WORKS = {
    "rows": Work(
        "small rows: {n}x16 float32", 32, lambda n, length: Prepared((n, 16), "float32", length)
    ),
    "uint8": Work(
        "uint8 images: {n}x224x224x3", 32, lambda n, length: Prepared((n, *IMAGE), "uint8", length)
    ),
    "float32": Work(
        "float32 images: {n}x224x224x3", 32,
        lambda n, length: Prepared((n, *IMAGE), "float32", length),
    ),
    "jpeg": Work("JPEG decode, crop, resize, flip: {n} images", 8, Photos),
    "asleep": Work(
        f"load asleep {LOAD_SECONDS * 1e3:.0f} ms, step {STEP_SECONDS * 1e3:.0f} ms: {{n}}x16 "
        "float32", 32,
        lambda n, length: Prepared((n, 16), "float32", length, LOAD_SECONDS), STEP_SECONDS,
    ),
}  # fmt: skip


def chosen(names: list[str]) -> list[str]:
    """Return the names of works, each once.

    Raises
    ------
    ArgumentError
        There is none of this name, and it is no MODULE:SOURCE.
    """
    for name in names:
        if name not in WORKS and ":" not in name:
            raise ArgumentError(
                f"There is no work {name!r}. There are: {', '.join(WORKS)}, and your own source "
                "as MODULE:SOURCE.",
                name,
            )
    return list(dict.fromkeys(names))
