"""Samples that are read by number, many at once, straight into the batch: images, files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastfeed.caching.base import Cache
from fastfeed.order import EpochOrder
from fastfeed.sources.base import Item, RowLayouts, RowNumbers, Writer
from fastfeed.sources.fingerprints import identity_of
from fastfeed.sources.keeping import KeepingSource
from fastfeed.structure import Layout, Tree, map_leaves


@dataclass
class Rows:
    """What a reader is asked for: a part of a batch, or all of it.

    Attributes
    ----------
    index : array of int64
        Numbers of the samples, in the order wanted. One may come twice.
    out : tree of arrays
        Where they go: as the reader's `spec`, with one row a sample. Views of the slot.
    failed : int
        Samples that could not be read; counted by the reader.
    written : int or None
        Set by a reader that leaves samples out: so many rows, the first ones, were written.
    """

    index: npt.NDArray[np.int64]
    out: Tree
    item: Item
    failed: int = 0
    written: int | None = None

    def rng(self, row: int) -> np.random.Generator:
        """Return a generator seeded from (seed, epoch, number of the sample at `row`); `random` and
        `numpy.random` are seeded alike. The next row gets the same object.
        """
        sample = int(self.index[row])
        self.item.seed(sample)
        return self.item.rng_of(sample)


class RowReader(ABC):
    """Reads samples by number. It is pickled once and lives in each worker.

    Attributes
    ----------
    spec : tree of ArraySpec
        One sample, without the batch axis.
    batch_size, shuffle, seed : int or None, bool, int or None
        Used where the `Loader` is not told otherwise.
    leaves_out : bool
        It may write fewer rows than it is asked for; then a batch is never divided.
    """

    spec: Tree
    batch_size: int | None = None
    shuffle: bool = False
    seed: int | None = None
    leaves_out = False

    @property
    @abstractmethod
    def n_samples(self) -> int:
        """How many samples there are."""

    def open(self) -> None:  # noqa: B027  most readers need nothing
        """Prepare in the worker, before the first read: an open file would not survive the way."""

    def close(self) -> None:  # noqa: B027
        """Let go of what is open in this process. Another loader may go on reading."""

    @abstractmethod
    def read(self, rows: Rows) -> None:
        """Write the samples ``rows.index`` to ``rows.out``."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Return what tells this data from other data: the same in every run, and cheap."""

    def kept_fingerprint(self) -> str:
        """Return what tells the samples that a cache keeps from others: without what is done to
        them behind it.
        """
        return self.fingerprint()


class ItemReader(RowReader):
    """Reads one sample after the other, in two stages, so that a cache fits in between."""

    cache: Cache | None = None

    @abstractmethod
    def load(self, row: int) -> Tree:
        """Return sample `row` without any chance in it: what a cache may keep."""

    @abstractmethod
    def put(self, sample: Tree, row: int, out: Tree, rng: np.random.Generator) -> None:
        """Write a sample to its row of the batch, augmented. Its arrays may be read-only."""

    def fetch(self, sample: int) -> Tree:
        """Return a sample from the cache, or else load it and keep it there."""
        if self.cache is None:
            return self.load(sample)
        stamp = self.stamp(sample) if self.cache.has_stamps else 0
        kept = self.cache.find(sample, stamp)
        if kept is not None:
            return self.cache.checked(sample, kept, lambda: self.load(sample))
        loaded = self.load(sample)
        self.cache.add(sample, loaded, stamp)
        return loaded

    def stamp(self, sample: int) -> int:
        """Return what changes when the file of a sample does (`fastfeed.caching.base.stamp_of`):
        a cache on disk that is older than that is refused. 0: nobody knows.
        """
        return 0

    def read(self, rows: Rows) -> None:
        """Fetch and put each."""
        for row, sample in enumerate(rows.index.tolist()):
            self.put(self.fetch(sample), row, rows.out, rows.rng(row))


class RowSource(KeepingSource):
    """Makes batches of what a reader reads.

    Parameters
    ----------
    order : EpochOrder
        Of the samples.
    cache : Cache, optional
        That the reader uses.
    """

    def __init__(self, reader: RowReader, order: EpochOrder, cache: Cache | None = None) -> None:
        self.items = reader
        self.cache = cache
        self.divisible = self.slow = not reader.leaves_out
        self._rows = RowNumbers(order)
        self._layouts = RowLayouts(reader.spec, order.most_rows)

    def open(self, worker: int) -> None:
        """Let the reader open its files."""
        self.items.open()

    def close(self) -> None:
        """Let the reader close its files: whoever keeps it may write to them now."""
        self.items.close()
        super().close()

    def fingerprint(self) -> str:
        """Return the reader's."""
        return identity_of(self.items)

    def layout(self) -> Layout:
        """Return the layout of the largest batch."""
        return self._layouts.full

    def make(self, item: Item, writer: Writer) -> None:
        """Read the rows of one ticket."""
        layout = self._layouts.of(item.batch_rows)
        first, last = item.first_row, item.first_row + item.rows
        out = map_leaves(lambda array: array[first:last], writer.reserve(layout))
        asked = Rows(self._rows.of(item), out, item)
        self.items.read(asked)
        if asked.written is not None:
            layout = layout.with_rows(asked.written)
        writer.commit(layout, failed=asked.failed)
