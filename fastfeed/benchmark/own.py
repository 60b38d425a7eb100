"""The user's own source as a work: as many batches as are wanted, made alike for every loader."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from fastfeed.errors import ArgumentError
from fastfeed.recognise import ACCEPTED, is_indexable
from fastfeed.sources.arrays import common_length, is_array_tree
from fastfeed.sources.streams import is_divisible
from fastfeed.structure import as_leaf, children_of, map_leaves, rebuild


class Cycled:
    """A source again and again.

    Parameters
    ----------
    source : object
        With ``__len__`` and ``__getitem__``; items are batches.
    length : int
        Batches an epoch.
    """

    def __init__(self, source: Any, length: int):
        self._source, self._length, self._own = source, length, len(source)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Any:
        if not 0 <= index < self._length:
            raise IndexError(f"batch {index} of {self._length}")
        return self._source[index % self._own]


class CycledFill(Cycled):
    """The same for a source with ``fill``."""

    @property
    def spec(self) -> Any:
        """The layout: the source's own, or as its first item has it."""
        return self._source.spec if hasattr(self._source, "spec") else self._source[0]

    def fill(self, index: int, out: Any, rng: np.random.Generator) -> None:
        """Write batch `index` into `out`."""
        self._source.fill(index % self._own, out, rng)


class Batched:
    """Batches of a source whose items are samples: stacked in NumPy, for every loader.

    Parameters
    ----------
    source : object
        With ``__len__`` and ``__getitem__``.
    batch_size : int
        Samples a batch; the last batch may have fewer.
    """

    def __init__(self, source: Any, batch_size: int):
        self._source, self._batch_size = source, batch_size

    def __len__(self) -> int:
        return -(-len(self._source) // self._batch_size)

    def __getitem__(self, index: int) -> Any:
        first = index * self._batch_size
        last = min(first + self._batch_size, len(self._source))
        return stacked([self._source[row] for row in range(first, last)])


class Rows(Batched):
    """Batches of arrays with one row a sample."""

    def __init__(self, arrays: Any, batch_size: int):
        super().__init__(map_leaves(lambda leaf: np.asarray(as_leaf(leaf)), arrays), batch_size)
        self._n_rows = common_length(self._source)

    def __len__(self) -> int:
        return -(-self._n_rows // self._batch_size)

    def __getitem__(self, index: int) -> Any:
        first = index * self._batch_size
        last = first + self._batch_size
        return map_leaves(lambda array: array[first:last].copy(), self._source)


def stacked(samples: list[Any]) -> Any:
    """Return samples of one structure as one, their arrays stacked along a new first axis."""
    first = children_of(samples[0])
    if first is None:
        return np.stack([np.asarray(sample) for sample in samples])
    columns = zip(*(children_of(sample) or () for sample in samples), strict=True)
    return rebuild(samples[0], [stacked(list(column)) for column in columns])


def as_batches(source: Any, batch_size: int | None, name: str) -> Any:
    """Return a source of batches: indexable, or a function that starts a stream.

    Raises
    ------
    ArgumentError
        It is no source, empty, or one that can run only once.
    """
    if is_array_tree(source):
        if batch_size is None:
            raise ArgumentError(
                f"{name} is arrays, whose rows are samples: say how many make a batch, for "
                "example --batch-size 32.",
                name,
            )
        return Rows(source, batch_size)
    refused = isinstance(source, (type, str, bytes, dict))
    if not refused and is_indexable(source) and hasattr(source, "__getitem__"):
        if not len(source):
            raise ArgumentError(f"{name} is empty: its len() is 0.", name)
        return source if batch_size is None else Batched(source, batch_size)
    if not refused and (callable(source) or isinstance(source, Iterable)):
        return _stream(source, batch_size, name)
    raise ArgumentError(f"{name} is no source. {ACCEPTED}", type(source).__name__)


def _stream(source: Any, batch_size: int | None, name: str) -> Callable[[], Iterable[Any]]:
    if batch_size is not None:
        raise ArgumentError(
            f"{name} is a stream: its items are batches already. Leave out --batch-size.", name
        )
    if isinstance(source, Iterator):
        raise ArgumentError(
            f"{name} is an iterator: it gives its items once, and every loader needs them. Name "
            "the generator function itself.",
            name,
        )
    return source if callable(source) else functools.partial(iter, source)


def of_length(source: Any, length: int) -> Any:
    """Return what gives `length` batches an epoch; a stream as it is."""
    if callable(source):
        return source
    return (CycledFill if hasattr(source, "fill") else Cycled)(source, length)


def begun(stream: Callable[..., Iterable[Any]]) -> Iterator[Any]:
    """Start a stream, all shards in one."""
    return iter(stream(shard=0, num_shards=1) if is_divisible(stream) else stream())


def repeated(passes: Iterable[Any], length: int) -> Iterator[Any]:
    """Yield `length` batches of a stream that may end earlier and is begun again then.

    Parameters
    ----------
    passes : iterable
        Each ``iter()`` is one pass.
    """
    left = length
    while left:
        before = left
        for batch in itertools.islice(passes, left):
            left -= 1
            yield batch
        if left == before:
            raise ArgumentError("The stream ended without a batch.")
