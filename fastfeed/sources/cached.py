"""Samples that go through a cache, and are augmented behind it.

A batch whose samples are all there is copied natively, without a Python loop over them.
"""

from __future__ import annotations

import copy
import inspect
import itertools
import numbers
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from fastfeed.caching.base import Cache
from fastfeed.caching.opening import open_cache
from fastfeed.errors import ArgumentError, SourceError
from fastfeed.order import EpochOrder
from fastfeed.sources.base import Item, Writer, name_of, not_none
from fastfeed.sources.fingerprints import identity_of
from fastfeed.sources.indexable import EpochHooks
from fastfeed.sources.keeping import KeepingSource
from fastfeed.sources.rows import ItemReader, RowReader, Rows
from fastfeed.sources.samples import (
    Objects,
    SampleSource,
    collate,
    put_row,
    row_layout,
    sample_leaf,
)
from fastfeed.structure import Layout, Tree, leaves, map_leaves

Transform = Callable[[Tree, np.random.Generator], Tree]
"""Augmentation: of a sample and its random numbers."""
Numbers = npt.NDArray[np.int64]


class PreparedSamples(KeepingSource, SampleSource):
    """Samples from a cache, a transform behind it, or both.

    Parameters
    ----------
    cache : Cache, optional
    transform : callable, optional
        ``transform(sample, rng)`` returns the sample that goes into the batch.
    """

    def __init__(
        self, items: Any, order: EpochOrder, cache: Cache | None, transform: Transform | None
    ) -> None:
        super().__init__(items, order)
        self.cache = cache
        self._transform = transform
        self._transform_name = name_of(transform)
        self._layouts: dict[int, tuple[Tree, Layout]] = {}  # of so many rows, and one of them
        self._stamp_of = getattr(items, "stamp", None) if cache and cache.has_stamps else None

    def make(self, item: Item, writer: Writer) -> None:
        """Copy what the cache has, and make the rest."""
        rows = self._rows.of(item)
        if self._transform is not None:
            samples = (self._transformed(row, item) for row in rows.tolist())
            collate(samples, item.rows, item, writer)
        elif not self._copied(rows, item, writer):
            self._collected(rows, item, writer)

    def _copied(self, rows: Numbers, item: Item, writer: Writer) -> bool:
        """Make a batch of samples that look like those of the last one; False: there are none."""
        known = self._layouts.get(item.batch_rows)
        if known is None or self.cache is None:
            return False
        first, layout = known
        batch = writer.reserve(layout)
        start, end = item.first_row, item.first_row + len(rows)
        done = self.cache.gather(rows, map_leaves(lambda array: array[start:end], batch))
        if not done.any():
            return False
        if not done.all():
            columns = list(leaves(batch))
            for i in np.flatnonzero(~done).tolist():
                put_row(columns, start + i, self._made(int(rows[i]), item), first, item)
        writer.commit(layout)
        return True

    def _collected(self, rows: Numbers, item: Item, writer: Writer) -> None:
        """Make a batch of one sample after the other, and remember its layout if it can be copied
        the next time.
        """
        samples = (self._kept(row, item) for row in rows.tolist())
        first = next(samples)
        layout = row_layout(first, item.batch_rows)
        has_objects = any(isinstance(leaf, Objects) for leaf in leaves(layout.skeleton))
        if self._stamp_of is None and not has_objects:
            self._layouts[item.batch_rows] = first, layout
        collate(itertools.chain([first], samples), item.rows, item, writer)

    def _transformed(self, row: int, item: Item) -> Tree:
        assert self._transform is not None
        sample = self._sample(row, item) if self.cache is None else own(self._kept(row, item))
        item.seed(row)  # the same numbers whether the sample was just made or not
        made = self._transform(sample, item.rng_of(row))
        return not_none(made, self._transform_name, item, row)

    def _kept(self, row: int, item: Item) -> Tree:
        assert self.cache is not None
        kept = self.cache.find(row, self._stamp(row))
        if kept is None:
            return self._made(row, item)
        return self.cache.checked(row, kept, lambda: self._plain(row, item))

    def _made(self, row: int, item: Item) -> Tree:
        """Make a sample and keep it."""
        assert self.cache is not None
        sample = self._plain(row, item)
        self.cache.add(row, sample, self._stamp(row))
        return sample

    def _plain(self, row: int, item: Item) -> Tree:
        """Make a sample, its numbers arrays."""
        return map_leaves(sample_leaf, self._sample(row, item))

    def _stamp(self, row: int) -> int:
        """Return what changes when the file of a sample does; 0: nobody knows."""
        if self._stamp_of is None:
            return 0
        stamp = self._stamp_of(row)
        if not isinstance(stamp, numbers.Real) or stamp != stamp:
            raise SourceError(
                f"{name_of(self._stamp_of)}({row}) returned {stamp!r}; it returns a number that "
                "changes when the sample does: fastfeed.caching.base.stamp_of(path), for example."
            )
        return hash(stamp)  # of a whole number itself, and of all the digits of others


def sample_source(
    items: Any, order: EpochOrder, cache: str | None, budget: int | None, transform: Any
) -> SampleSource:
    """Wrap an object whose items are samples; `cache`, `budget` and `transform` as the user gave
    them.

    Raises
    ------
    ArgumentError
        If `transform` cannot be called, or a cache would keep what the object changes from epoch to
        epoch.
    """
    if transform is not None:
        require_transform(transform)
    elif cache is None:
        return SampleSource(items, order)
    if cache is not None and EpochHooks(items):
        raise ArgumentError(
            f"{type(items).__name__} has on_epoch_begin or on_epoch_end, which may change what its "
            "items are; a cache would give those of the first epoch for ever. Shuffle with "
            "shuffle=True, augment with transform=..., and leave the method out; or leave cache "
            "out.",
            f"cache={cache!r}",
        )
    opened = cache_of(cache, budget, order.length, lambda: identity_of(items))
    return PreparedSamples(items, order, opened, transform)


def cache_of(
    cache: str | None, budget: int | None, n_samples: int, identity: Callable[[], str]
) -> Cache | None:
    """Make or open the cache that was asked for, of so many samples. Their identity is asked for
    only then: it may take a look at many files.
    """
    if cache is None:
        return None
    return open_cache(cache, budget, n_samples, f"{identity()} of {n_samples}")


def require_transform(function: Any) -> None:
    """Refuse what cannot be called with a sample and its random numbers.

    Raises
    ------
    ArgumentError
    """
    if not callable(function):
        raise ArgumentError(
            "transform is a function of a sample and its random numbers: transform(sample, rng).",
            f"transform={function!r}",
        )
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # a builtin without a signature
        return
    try:
        signature.bind(None, None)
    except TypeError as error:
        raise ArgumentError(
            f"transform is called as {name_of(function)}(sample, rng) ({error}). Bind others: "
            "functools.partial(...).",
            f"transform={name_of(function)}{signature}",
        ) from None


def own(sample: Tree) -> Tree:
    """Return a sample that may be written to; its numbers as NumPy's scalars."""

    def leaf_of_own(leaf: Any) -> Any:
        if not isinstance(leaf, np.ndarray):
            return leaf
        return leaf.copy() if leaf.ndim or leaf.dtype.hasobject else leaf[()]

    return map_leaves(leaf_of_own, sample)


def with_cache(reader: RowReader, cache: Cache) -> RowReader:
    """Return a reader that looks into the cache first. The user's own stays as it is."""
    if isinstance(reader, ItemReader):
        reader = copy.copy(reader)
        reader.cache = cache
        return reader
    return CachedReader(reader, cache)


class CachedReader(RowReader):
    """Reads what the cache does not have, all at once, and adds it.

    Rows that could not be read are not kept; nor are those of a reader that leaves some out, whose
    numbers nobody knows.
    """

    def __init__(self, reader: RowReader, cache: Cache) -> None:
        self._reader = reader
        self._cache = cache
        self.spec = reader.spec
        self.leaves_out = reader.leaves_out

    @property
    def n_samples(self) -> int:
        """How many samples there are."""
        return self._reader.n_samples

    def open(self) -> None:
        """Let the reader open its files."""
        self._reader.open()

    def close(self) -> None:
        """Let the reader close them."""
        self._reader.close()

    def fingerprint(self) -> str:
        """Return the reader's."""
        return self._reader.fingerprint()

    def read(self, rows: Rows) -> None:
        """Copy what is there and read the rest."""
        done = self._cache.gather(rows.index, rows.out)
        if done.all():
            return
        if self._reader.leaves_out or not done.any():
            self._reader.read(rows)
            if rows.written is None and not rows.failed:
                self._add(rows)
        else:
            self._read_some(rows, np.flatnonzero(~done))

    def _read_some(self, rows: Rows, missing: npt.NDArray[np.intp]) -> None:
        """Read into arrays of our own, because these rows do not lie side by side."""

        def empty(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
            return np.empty((len(missing), *array.shape[1:]), array.dtype)

        part = Rows(rows.index[missing], map_leaves(empty, rows.out), rows.item)
        self._reader.read(part)
        rows.failed += part.failed
        for array, read in zip(leaves(rows.out), leaves(part.out), strict=True):
            array[missing] = read
        if not part.failed:
            self._add(part)

    def _add(self, rows: Rows) -> None:
        for row, sample in enumerate(rows.index.tolist()):
            self._cache.add(sample, row_of(rows.out, row))


def row_of(batch: Tree, row: int) -> Tree:
    """Return one sample of a batch of arrays."""
    return map_leaves(lambda array: array[row], batch)
