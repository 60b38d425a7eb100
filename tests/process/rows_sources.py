"""Samples for the tests of batches that several workers make. Workers import this module."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


class Samples:
    """Sample i: its number, and random numbers that are the same whenever it is made in an epoch.

    Parameters
    ----------
    length : int
    before : callable, optional
        Called with the number before the sample is made, in the worker.
    look : callable, optional
        Returns the sample, given its number.
    """

    def __init__(
        self,
        length: int,
        before: Callable[[int], Any] | None = None,
        look: Callable[[int], Any] | None = None,
    ) -> None:
        self.length = length
        self.before = before
        self.look = look or numbered

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, number: int) -> Any:
        if self.before is not None:
            self.before(number)
        return self.look(number)


def numbered(number: int) -> tuple[np.ndarray, float]:
    return np.full(3, number), np.random.random()


def named(number: int) -> dict[str, Any]:
    """A text, so that a batch has objects; every other sample names its parts the other way."""
    parts = {"x": np.full((2, 2), number, np.float32), "name": f"n{number}", "y": number}
    return parts if number % 2 else dict(reversed(parts.items()))


def turned(number: int) -> dict[str, Any]:
    """The same without objects: the parts lie in the slot."""
    parts = {"x": np.full((2, 2), number, np.float32), "y": number}
    return parts if number % 2 else dict(reversed(parts.items()))


def odd_one(number: int) -> np.ndarray:
    """Sample 12 and those after it are longer."""
    return np.zeros(3 if number < 12 else 4)


class Register:
    """Writes down each call in a file, and waits in one until others have been written.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, number: int) -> None:
        with open(self.path, "ab", buffering=0) as file:
            file.write(b"%d %d\n" % (number, os.getpid()))

    def calls(self) -> list[tuple[int, int]]:
        """Return (sample, process) of all calls, in order."""
        if not self.path.exists():
            return []
        lines = self.path.read_text().splitlines()
        return [(int(line.split()[0]), int(line.split()[1])) for line in lines]


class KillsAt(Register):
    """Kills its process at one sample, the first time."""

    def __init__(self, path: Path, number: int) -> None:
        super().__init__(path)
        self.number = number

    def __call__(self, number: int) -> None:
        again = any(sample == self.number for sample, _ in self.calls())
        super().__call__(number)
        if number == self.number and not again:
            os.kill(os.getpid(), signal.SIGKILL)
