"""What every kind of cache offers to a source."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastfeed.structure import Tree

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CacheUse:
    """How a cache is used, by all workers together.

    Attributes
    ----------
    samples : int
        That it holds.
    used_bytes, budget_bytes : int or None
        What it takes, and what it may take; None: as much as there is.
    hits, misses : int or None
        Samples that were asked for and there, or not there; None: nobody counts.
    """

    samples: int
    used_bytes: int
    budget_bytes: int | None
    hits: int | None = None
    misses: int | None = None


class Cache(ABC):
    """Keeps samples by their number. Made in the parent, pickled to the workers.

    A sample is a tree whose leaves are arrays or objects that pickle. What is added never changes;
    of two workers that add the same sample, one wins.
    """

    def descriptors(self) -> list[int]:
        """Return the file descriptors that a pickled copy needs; they stay this cache's."""
        return []

    def adopt(self, descriptors: list[int]) -> None:
        """Take over copies of `descriptors`, in a worker process, before anything else."""
        assert not descriptors, f"{type(self).__name__} needs no descriptors"

    @abstractmethod
    def find(self, row: int) -> Tree | None:
        """Return sample `row`, its arrays read-only; None if it is not there."""

    @abstractmethod
    def add(self, row: int, sample: Tree) -> None:
        """Keep sample `row`, if there is room; otherwise nothing happens.

        Raises
        ------
        ArgumentError
            The first sample is larger than the whole budget.
        """

    @abstractmethod
    def gather(self, rows: Rows, out: Tree) -> npt.NDArray[np.bool_]:
        """Copy samples to the rows of `out`, arrays with one row a sample, and say which.

        Copied are those that are there, and have the structure, dtypes and shapes of a row.
        """

    @abstractmethod
    def use(self) -> CacheUse:
        """Return how it is used so far."""

    def close(self) -> None:  # noqa: B027  in a worker process its end is enough
        """Give back what it holds, in the parent. May be called twice."""
