"""Sources that several unit tests feed. Worker processes import this module."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import fastfeed


class Batches:
    """Item i is what `make(i)` returns."""

    def __init__(self, make: Callable[[int], Any], length: int = 6) -> None:
        self.make = make
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        return self.make(index)


def fed(source: Any, **options: Any) -> list[Any]:
    """One epoch of a source as private copies."""
    with fastfeed.Loader(source, **options) as loader:
        return [private(batch) for batch in loader]


def private(tree: Any) -> Any:
    """A copy of a batch that keeps no lease."""
    if isinstance(tree, np.ndarray):
        return tree.copy()
    if isinstance(tree, dict):
        return {key: private(value) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        children = [private(child) for child in tree]
        return type(tree)(*children) if hasattr(tree, "_fields") else type(tree)(children)
    return tree


def same(one: Any, other: Any) -> bool:
    """Equal in structure, type, dtype, shape and every byte."""
    if isinstance(one, np.ndarray):
        return (
            isinstance(other, np.ndarray)
            and (one.dtype, one.shape) == (other.dtype, other.shape)
            and same_bytes(one, other)
        )
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other or (one != one and other != other))


def same_bytes(one: np.ndarray, other: np.ndarray) -> bool:
    """Equal bytes, but for the padding that is inside of long doubles."""
    if one.dtype.type in (np.longdouble, np.clongdouble):
        return np.array_equal(one, other, equal_nan=True)
    return one.tobytes() == other.tobytes()


def arrays_in(tree: Any) -> Iterator[np.ndarray]:
    """The arrays of a batch from left to right."""
    if isinstance(tree, np.ndarray):
        yield tree
    elif isinstance(tree, (list, tuple, dict)):
        for child in tree.values() if isinstance(tree, dict) else tree:
            yield from arrays_in(child)
