"""What every kind of source offers to a worker, and how it hands a batch over."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fastfeed._core import Claim, Order
from fastfeed.caching.base import CacheUse
from fastfeed.errors import SourceError
from fastfeed.order import EpochOrder, ItemNumbers
from fastfeed.structure import ArraySpec, Layout, Tree, map_leaves


class EndOfItems(Exception):
    """A generator or iterator has no more items (an IndexError or StopIteration would be the
    user's own).
    """


class Writer(Protocol):
    """Where a source puts the batch that it makes. Exactly one `write` or one `commit` a batch."""

    def write(self, batch: Tree) -> None:
        """Copy a finished batch into the slot."""

    def reserve(self, layout: Layout) -> Tree:
        """Return the slot's arrays, to be filled in place before `commit`."""

    def commit(self, layout: Layout, failed: int = 0) -> None:
        """Hand in what was filled in place; `layout` says what is there now. `failed`: samples that
        could not be read.
        """

    def gather(
        self,
        leaf: Any,
        array: np.ndarray[Any, Any],
        rows: np.ndarray[Any, Any],
        first: int = 0,
    ) -> None:
        """Copy rows of a C-contiguous array to a leaf of the reserved layout, natively, to row
        `first` and those after it.
        """


class Numbers(Protocol):
    """The worker's global random numbers: `random` and `numpy.random`."""

    def seed(self, epoch: int, index: int) -> None:
        """Start the numbers of an item."""


class Item:
    """What is to be made: item `index` of `epoch`, or rows of a batch of samples.

    Attributes
    ----------
    index, epoch : int
        Of samples: `index` counts the batches of the epoch.
    rows : int
        How many samples; 0 where items are batches.
    """

    __slots__ = ("_claim", "_globals", "_numbers", "_rng", "epoch", "index", "rows")

    def __init__(self, numbers: ItemNumbers, global_numbers: Numbers | None, claim: Claim) -> None:
        self._numbers = numbers
        self._globals = global_numbers
        self._claim = claim
        self._rng: np.random.Generator | None = None
        self.epoch = claim.epoch
        self.index = claim.index
        self.rows = claim.rows

    # Not taken from the claim before they are wanted: an item that is a batch has no use for them,
    # and small ones would feel it.

    @property
    def position(self) -> int:
        """Where the first sample stands in the epoch's order."""
        return self._claim.position

    @property
    def first_row(self) -> int:
        """Which row of the batch it is."""
        return self._claim.first_row

    @property
    def batch_rows(self) -> int:
        """How many rows the batch has; 0 where items are batches."""
        return self._claim.batch_rows

    @property
    def rng(self) -> np.random.Generator:
        """A generator seeded from (seed, epoch, index): the same in whichever worker, at
        whichever attempt. The worker's next item gets the same object, seeded anew.
        """
        if self._rng is None:
            self._rng = self._numbers.of(self.epoch, self.index)
        return self._rng

    def seed(self, index: int) -> None:
        """Start `random` and `numpy.random` anew for an item or sample; not in threads, which
        share them.
        """
        if self._globals is not None:
            self._globals.seed(self.epoch, index)

    def rng_of(self, sample: int) -> np.random.Generator:
        """Return a generator seeded from (seed, epoch, sample): the same in whichever batch, on
        whichever rank. The next sample gets the same object.
        """
        return self._numbers.of(self.epoch, sample)


class RowNumbers:
    """Which samples a ticket asks for. Source side: in any process, without a list of them all."""

    def __init__(self, order: EpochOrder) -> None:
        self._length, self._shuffle, self._seed = order.length, order.shuffle, order.seed

    def of(self, item: Item) -> npt.NDArray[np.int64]:
        """Return the numbers of the samples, in order."""
        order = Order(self._length, self._shuffle, self._seed, item.epoch)
        return order.rows(item.position, item.rows)


class RowLayouts:
    """How batches of samples lie in their slots; nearly all of them have the most rows.

    Parameters
    ----------
    spec : tree of ArraySpec
        Of one sample.
    most_rows : int

    Attributes
    ----------
    full : Layout
        Of the largest batch.
    """

    def __init__(self, spec: Tree, most_rows: int) -> None:
        self._spec = spec
        self._most_rows = most_rows
        self.full = self._make(most_rows)

    def of(self, rows: int) -> Layout:
        """Return the layout of a batch of so many rows."""
        return self.full if rows == self._most_rows else self._make(rows)

    def _make(self, rows: int) -> Layout:
        return Layout.of(
            map_leaves(lambda one: ArraySpec((rows, *one.shape), one.dtype), self._spec)
        )


class Source(ABC):
    """Makes batches inside a worker.

    Attributes
    ----------
    repeatable : bool
        An item can be made again after the death of the worker that had it in hand.
    shards : int or None
        None: any worker makes any item. n: worker k of n has its own stream.
    undivided : bool
        It is one stream, and cannot be more.
    hooks_epochs : bool
        `start_epoch` must be called between two epochs, after every item of the first is made.
    divisible : bool
        `make` writes those rows of a batch that the item asks for, so that several workers can
        make one.
    slow : bool
        What it makes may take so long that they should.
    """

    repeatable = True
    shards: int | None = None
    undivided = False
    hooks_epochs = False
    divisible = False
    slow = False

    def descriptors(self) -> list[int]:
        """Return the file descriptors that worker processes get besides the pickled source. They
        stay the source's, and open for as long as a worker may be started; 100 at the most.
        """
        return []

    def adopt(self, descriptors: list[int]) -> None:
        """Take over a worker process's copies of `descriptors`; called in it before `open`.

        Whoever overrides one of the two overrides both, and closes what it gets here.
        """
        assert not descriptors, f"{type(self).__name__} sends descriptors that nobody takes"

    def close(self) -> None:  # noqa: B027  most sources need nothing
        """Let go of what the parent has open; called when the loader is closed."""

    def open(self, worker: int) -> None:  # noqa: B027
        """Prepare in the worker; called once, before anything else."""

    def leave(self) -> None:  # noqa: B027
        """Finish in a worker process that is told to go home; it is not asked when it is killed."""

    def cache_use(self) -> CacheUse | None:
        """Return how the source's cache is used; None: it has none."""
        return None

    def start_epoch(self, epoch: int) -> None:  # noqa: B027
        """Tell the user's object that `epoch` starts, and the one before is over."""

    def prepare(self, item: Item) -> None:  # noqa: B027
        """Do what the first item needs, before its random numbers are seeded: a worker's first
        item would come out otherwise than the same item made later.
        """

    @abstractmethod
    def make(self, item: Item, writer: Writer) -> None:
        """Make one batch and write it.

        Raises
        ------
        EndOfItems
            When there is none left.
        """

    def fingerprint(self) -> str:
        """Return what tells this data from other data in the states of loaders; in the parent."""
        raise NotImplementedError(type(self).__name__)

    def layout(self) -> Layout | None:
        """Return the layout of a batch if it is known without making one."""
        return None


def name_of(value: Any) -> str:
    """Return what people call a function or a class, or the class of an object: `load`, or
    `Dataset.load`, wherever it was defined.
    """
    named = value if hasattr(value, "__name__") else type(value)
    name = getattr(named, "__qualname__", named.__name__)
    return str(name).rpartition("<locals>.")[2]


def not_none(made: Tree, name: str, item: Item, index: int | None = None) -> Tree:
    """Refuse None, the result of a forgotten ``return``; `index` is what `name` was asked for,
    where that is not the item's.

    Raises
    ------
    SourceError
        If `made` is None.
    """
    if made is None:
        raise SourceError(
            f"{name} returned None for index {item.index if index is None else index} (epoch "
            f"{item.epoch}); an item is an array, a number, or a tuple, list or dict of these. Is "
            "a `return` missing?"
        )
    return made
