"""A source of every kind, with what its batches must be by plain NumPy."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import fastfeed

N = 11


def image(index: int) -> np.ndarray:
    return np.arange(12, dtype=np.uint8).reshape(3, 4) * (index + 1)


class Sequence:
    """Items are batches; the last one is shorter."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Any:
        rows = range(index * 3, min(index * 3 + 3, N))
        return np.stack([image(row) for row in rows]), {"y": np.array(rows, np.float32)}


class FillWithoutSpec(Sequence):
    """The same batches, written in place."""

    def fill(self, index: int, out: Any, rng: np.random.Generator) -> int:
        x, labels = out
        rows = range(index * 3, min(index * 3 + 3, N))
        for place, row in enumerate(rows):
            x[place], labels["y"][place] = image(row), row
        return len(rows)


class Fill(FillWithoutSpec):
    """With its layout told."""

    spec = (np.zeros((3, 3, 4), np.uint8), {"y": fastfeed.ArraySpec((3,), np.float32)})


class Samples:
    """Items are samples with a leaf of each kind."""

    def __len__(self) -> int:
        return N

    def __getitem__(self, index: int) -> Any:
        parts = {"image": image(index), "name": "n" * index, "label": index, "weight": index / 2}
        if index % 2:  # the order of names is no matter
            parts = dict(reversed(parts.items()))
        return parts, (index % 3 == 0, np.float16(index), None)


def collated(rows: list[int]) -> Any:
    """A batch of `Samples`."""
    parts = {
        "image": np.stack([image(row) for row in rows]),
        "name": ["n" * row for row in rows],
        "label": np.array(rows, np.int64),
        "weight": np.array(rows) / 2,
    }
    flags = np.array([row % 3 == 0 for row in rows])
    return parts, (flags, np.array(rows, np.float16), [None] * len(rows))


class Endless:
    """As a Keras PyDataset that has no end."""

    num_batches = None

    def __len__(self) -> int:
        raise AssertionError("nobody may ask")

    def __getitem__(self, index: int) -> np.ndarray:
        return np.array([index])


def generator() -> Iterator[np.ndarray]:
    """A stream of batches."""
    for index in range(N):
        yield image(index)


class Iterable:
    """Something with only __iter__."""

    def __iter__(self) -> Iterator[np.ndarray]:
        return generator()


def numbers() -> Iterator[tuple[int, str]]:
    """A stream of samples."""
    for index in range(N):
        yield index, str(index)


def shards(shard: int, num_shards: int) -> Iterator[np.ndarray]:
    """Shard k of n gives k + 1 batches."""
    for index in range(shard + 1):
        yield np.array([shard, index, num_shards])


def long_shards(shard: int, num_shards: int) -> Iterator[np.ndarray]:
    """20 batches a shard, with its number."""
    for _ in range(20):
        yield np.array([shard])


def round_robin(num_shards: int) -> list[np.ndarray]:
    """What `shards` gives together, in turn."""
    streams = (shards(shard, num_shards) for shard in range(num_shards))
    rounds = itertools.zip_longest(*streams)
    return [batch for turn in rounds for batch in turn if batch is not None]


def in_batches(size: int, drop_last: bool = False) -> list[list[int]]:
    """The rows of each batch."""
    rows = [list(range(start, min(start + size, N))) for start in range(0, N, size)]
    return [batch for batch in rows if len(batch) == size or not drop_last]


@dataclass(frozen=True)
class Kind:
    """A kind of source. `length`: what len(loader) says; None: a TypeError."""

    source: Callable[[], Any]
    expected: Callable[[], list[Any]]
    length: int | None
    options: dict[str, Any] = field(default_factory=dict)
    divided: bool = False


TABLE = {"a": np.arange(N * 2.0).reshape(N, 2), "b": (np.arange(N * 2)[::-2], np.zeros((N, 0)))}


def rows_of(rows: list[int]) -> Any:
    """A batch of `TABLE`."""
    return {"a": TABLE["a"][rows], "b": tuple(array[rows] for array in TABLE["b"])}


KINDS = {
    "sequence": Kind(Sequence, lambda: [Sequence()[i] for i in range(4)], 4),
    "fill": Kind(Fill, lambda: [Sequence()[i] for i in range(4)], 4),
    "fill without spec": Kind(FillWithoutSpec, lambda: [Sequence()[i] for i in range(4)], 4),
    "list of batches": Kind(
        lambda: [image(i) for i in range(5)], lambda: [*map(image, range(5))], 5
    ),
    "samples": Kind(Samples, lambda: [*map(collated, in_batches(4))], 3, {"batch_size": 4}),
    "samples, drop_last": Kind(
        Samples,
        lambda: [*map(collated, in_batches(4, True))],
        2,
        {"batch_size": 4, "drop_last": True},
    ),
    "list of samples": Kind(
        lambda: [image(i) for i in range(N)],
        lambda: [np.stack([image(row) for row in rows]) for rows in in_batches(5)],
        3,
        {"batch_size": 5},
    ),
    "array": Kind(
        lambda: TABLE["a"],
        lambda: [TABLE["a"][rows] for rows in in_batches(4)],
        3,
        {"batch_size": 4},
    ),
    "arrays": Kind(lambda: TABLE, lambda: [*map(rows_of, in_batches(4))], 3, {"batch_size": 4}),
    "arrays, drop_last": Kind(
        lambda: TABLE,
        lambda: [*map(rows_of, in_batches(3, True))],
        3,
        {"batch_size": 3, "drop_last": True},
    ),
    "one batch of arrays": Kind(
        lambda: TABLE, lambda: [rows_of([*range(N)])], 1, {"batch_size": 99}
    ),
    "generator function": Kind(lambda: generator, lambda: [*generator()], None),
    "iterable": Kind(Iterable, lambda: [*generator()], None),
    "iterator": Kind(generator, lambda: [*generator()], None),
    "stream of samples": Kind(
        lambda: numbers,
        lambda: [(np.array(rows), [*map(str, rows)]) for rows in in_batches(4)],
        None,
        {"batch_size": 4},
    ),
    "stream of samples, drop_last": Kind(
        lambda: numbers,
        lambda: [(np.array(rows), [*map(str, rows)]) for rows in in_batches(4, True)],
        None,
        {"batch_size": 4, "drop_last": True},
    ),
}
