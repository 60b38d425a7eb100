"""A source that writes down what it makes, for the tests of caches. Workers import this module."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np

WIDTH = 20_000


def sample(index: int) -> Any:
    """Sample `index`: every byte says so."""
    return np.full(WIDTH, index % 251, np.uint8), index


class Slow:
    """Samples that take a moment, and are written down in a file.

    Parameters
    ----------
    made : path
        Gets the number of the process for each sample that it makes.
    """

    def __init__(self, made: str | os.PathLike[str], length: int = 120, seconds: float = 0.001):
        self.made = os.fspath(made)
        self.length = length
        self.seconds = seconds

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        time.sleep(self.seconds)
        with open(self.made, "ab") as file:
            file.write(b"%7d\n" % os.getpid())
        return sample(index)

    def fingerprint(self) -> str:
        return f"slow {self.length}"

    def count(self) -> int:
        """How many samples were made so far."""
        return len(self.makers())

    def makers(self) -> list[int]:
        """Which process made each."""
        path = Path(self.made)
        return [int(line) for line in path.read_text().split()] if path.exists() else []


def check_epoch(batches: Any, length: int) -> int:
    """Assert that batches hold each sample once, whole; return how many there were."""
    seen: list[int] = []
    for x, y in batches:
        assert x.shape == (len(y), WIDTH)
        assert (x == (y % 251)[:, None]).all()
        seen += y.tolist()
    assert sorted(seen) == list(range(length))
    return len(seen)
