"""Sources for the process tests. Workers import this module, so it imports little itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

KEPT: list[object] = []
"""What a worker is to hold until its end."""


def once(marker: object) -> bool:
    """Tell whether this is the first call with `marker` (a path), in whichever process."""
    try:
        os.close(os.open(str(marker), os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


class Batches:
    """Batch i: its index, and random numbers that are the same whenever i is made in an epoch.

    Parameters
    ----------
    length : int
    before : callable, optional
        Called with the index before the batch is made, in the worker.
    rows : int or callable
        Rows of a batch, perhaps depending on its index.
    """

    def __init__(
        self,
        length: int,
        before: Callable[[int], Any] | None = None,
        rows: int | Callable[[int], int] = 8,
    ) -> None:
        self.length = length
        self.before = before
        self.rows = rows

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        if self.before is not None:
            self.before(index)
        rows = self.rows(index) if callable(self.rows) else self.rows
        return np.full((rows, 2), index), np.random.random(rows)


def of_many_sizes(index: int) -> int:
    """Return the rows of a batch: many are larger than all before."""
    return (3, 100, 30, 3000, 20_000)[index % 5]


class Divided:
    """A generator function that is divided among the workers: shard k gives k, k + n, k + 2 n."""

    def __init__(self, length: int, before: Callable[[int], Any] | None = None) -> None:
        self.length = length
        self.before = before

    def __call__(self, shard: int, num_shards: int) -> Iterator[np.ndarray]:
        for number in range(shard, self.length, num_shards):
            if self.before is not None:
                self.before(number)
            yield np.full(3, number)


class Asks:
    """Each item is what `question()` answers in the worker."""

    def __init__(self, question: Callable[[], Any]) -> None:
        self.question = question

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Any:
        return self.question()
