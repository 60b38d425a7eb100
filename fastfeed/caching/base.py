"""What every kind of cache offers to a source."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastfeed.errors import gib
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
        Samples that were asked for and there, or had to be made; None: nobody counts.
    """

    samples: int
    used_bytes: int
    budget_bytes: int | None
    hits: int | None = None
    misses: int | None = None

    def __str__(self) -> str:
        """Write it for people."""
        most = f" of {gib(self.budget_bytes)}" if self.budget_bytes is not None else ""
        found = f"; {self.hits} found, {self.misses} made" if self.hits is not None else ""
        return f"cache: {self.samples} samples, {gib(self.used_bytes)}{most}{found}"


class Cache(ABC):
    """Keeps samples by their number. Made in the parent, pickled to the workers.

    A sample is a tree whose leaves are arrays or objects that pickle. What is added never changes;
    of two workers that add the same sample, one wins.

    Attributes
    ----------
    has_stamps : bool
        It outlives a run, so it wants to know of each sample what changes when its file does.
    """

    has_stamps = False

    def checked(self, row: int, kept: Tree, make: Callable[[], Tree]) -> Tree:
        """Return a sample that was found. A cache that outlives a run makes some anew first.

        Raises
        ------
        CacheError
            The source gives another sample now.
        """
        return kept

    def descriptors(self) -> list[int]:
        """Return the file descriptors that a pickled copy needs; they stay this cache's."""
        return []

    def adopt(self, descriptors: list[int]) -> None:
        """Take over copies of `descriptors`, in a worker process, before anything else."""
        assert not descriptors, f"{type(self).__name__} needs no descriptors"

    @abstractmethod
    def find(self, row: int, stamp: int = 0) -> Tree | None:
        """Return sample `row`, its arrays read-only; None if it is not there.

        Raises
        ------
        CacheError
            It was added with another stamp.
        """

    @abstractmethod
    def add(self, row: int, sample: Tree, stamp: int = 0) -> None:
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

    @abstractmethod
    def close(self) -> None:
        """Finish what is in hand and give back what it holds. May be called twice."""


def stamp_of(path: str | os.PathLike[str]) -> int:
    """Return what changes when a file does: its time and size."""
    status = os.stat(path)
    return status.st_mtime_ns ^ status.st_size
