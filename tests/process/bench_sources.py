"""Sources for the tests of ``fastfeed bench``, good and bad."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import numpy as np


class Good:
    """Batches of a dict with a tuple in it."""

    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: int) -> Any:
        return {"x": np.full((4, 3), index, np.float32), "y": (np.arange(4), np.float64(index))}


class FailsAtSeven(Good):
    def __len__(self) -> int:
        return 20

    def __getitem__(self, index: int) -> Any:
        if index == 7:
            raise ValueError("boom")
        return np.ones(3)


class FailsLater(FailsAtSeven):
    def __getitem__(self, index: int) -> Any:
        if index == 17:
            raise ValueError("late boom")
        return np.ones(3)


class NeverYields(Good):
    def __getitem__(self, index: int) -> Any:
        time.sleep(1000)


class EndsTheProcess(Good):
    def __getitem__(self, index: int) -> Any:
        os._exit(3)


class ProcessNumbers(Good):
    """Repeatable in a process, and another in each: what a loader that mixes things up gives."""

    def __getitem__(self, index: int) -> Any:
        return np.array([os.getpid()])


class Random(Good):
    def __getitem__(self, index: int) -> Any:
        return np.random.default_rng().random(3)


def stream() -> Iterator[np.ndarray]:
    """Seven batches."""
    yield from (np.full(3, index) for index in range(7))


text = "no source"
