"""Sources that use random numbers of every kind."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import numpy as np

import fastfeed


class Random:
    """Batches of random numbers, with their index in front."""

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> np.ndarray:
        return np.array([index, random.random(), *np.random.rand(3)])


class RandomFill(Random):
    """The same in place, with a generator of its own; `spec` comes from the first item."""

    def fill(self, index: int, out: np.ndarray, rng: np.random.Generator) -> None:
        out[:] = [index, random.random(), np.random.rand(), *rng.random(2)]


class OwnNumbers(RandomFill):
    """Uses only the generator that it is given, as threads must."""

    spec = fastfeed.ArraySpec((3,), np.float64)

    def fill(self, index: int, out: np.ndarray, rng: np.random.Generator) -> None:
        out[:] = [index, *rng.random(2)]


class Dying(RandomFill):
    """Kills its worker the first time that it makes an item of `indices`, half way."""

    def __init__(self, folder: Path, indices: list[int]) -> None:
        self.folder = folder
        self.indices = indices

    def fill(self, index: int, out: np.ndarray, rng: np.random.Generator) -> None:
        if index in self.indices and not (mark := self.folder / str(index)).exists():
            mark.touch()
            out[:] = rng.random(), random.random(), np.random.rand(), -1, -1
            os.kill(os.getpid(), signal.SIGKILL)
        super().fill(index, out, rng)


class SelfShuffling:
    """A Keras Sequence of old that shuffles its own index after each epoch."""

    def __init__(self) -> None:
        self.order = np.arange(20)

    def __len__(self) -> int:
        return 20

    def __getitem__(self, index: int) -> np.ndarray:
        return self.order[index : index + 1]

    def on_epoch_end(self) -> None:
        np.random.shuffle(self.order)
        random.shuffle(self.order)
