"""Sources for the device tests, which workers import, and what these tests share."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import process_sources
import pytest
from simulated_gpu import Gpu, SimulatedArray

import fastfeed
from fastfeed.devices import arrays
from fastfeed.structure import children_of, rebuild

KINDS: dict[str, dict[str, Any]] = {
    "processes": {"workers": 2},
    "threads": {"workers": 2, "use_multiprocessing": False},
    "caller": {"workers": 0},
}
each_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
each_workers = pytest.mark.parametrize(
    "kind", [KINDS["processes"], KINDS["threads"]], ids=["processes", "threads"]
)


class Batches(process_sources.Batches):
    """Batch i: its index, and random numbers that are the same whenever it is made."""

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        numbers, _ = super().__getitem__(index)
        noise = np.random.default_rng(index).integers(0, 256, (len(numbers), 50), np.uint8)
        return numbers, noise


class Divided(process_sources.Divided):
    """The same with items of two dimensions."""

    def __call__(self, shard: int, num_shards: int) -> Iterator[np.ndarray]:
        for item in super().__call__(shard, num_shards):
            yield np.full((3, 2), item[0])


class Fixed:
    """Items that are given."""

    def __init__(self, *items: Any) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        item = self.items[index]
        return item() if callable(item) else item


def of_many_sizes(index: int) -> int:
    """Return the rows of a batch: many are larger than all before."""
    return (3, 100, 30, 1000, 5000)[index % 5]


class raise_at:  # noqa: N801
    """Raises KeyError when one of these items is made."""

    def __init__(self, *places: int) -> None:
        self.places = places

    def __call__(self, index: int) -> None:
        if index in self.places:
            raise KeyError(f"item {index}")


def host(batch: Any) -> Any:
    """Return a batch with NumPy's arrays in the place of the device's."""
    children = children_of(batch)
    if children is not None:
        return rebuild(batch, [host(child) for child in children])
    return np.array(batch) if hasattr(batch, "__array__") else batch


def made_by_hand(source: Any, epochs: int = 1, **options: Any) -> list[list[Any]]:
    """Return each epoch's batches as the calling thread makes them, without a device."""
    with fastfeed.Loader(source, workers=0, **options) as loader:
        return [[host(batch) for batch in loader] for _ in range(epochs)]


def assert_same(given: Iterable[Any], expected: Iterable[Any]) -> None:
    """Compare flat batches: bytes, dtypes and order."""
    for one, other in zip(given, expected, strict=True):
        for part, wanted in zip(one, other, strict=True):
            array = np.asarray(part)
            assert (array.dtype, array.shape) == (wanted.dtype, wanted.shape)
            np.testing.assert_array_equal(array, wanted)


def index_of(batch: Any) -> int:
    """Return the index that a batch of `Batches` or `Divided` says it has; see that it is whole."""
    numbers = np.asarray(batch[0] if isinstance(batch, tuple) else batch)
    assert (numbers == numbers.flat[0]).all()
    return int(numbers.flat[0])


def indices(batches: Iterable[Any]) -> list[int]:
    """Return the index of each batch; batches are dropped at once."""
    return [index_of(batch) for batch in batches]


def outcomes(batches: Iterable[Any]) -> list[Any]:
    """Go through one epoch past every exception; return indices and exceptions, in order."""
    found: list[Any] = []
    batches = iter(batches)
    while True:
        try:
            found.append(index_of(next(batches)))
        except StopIteration:
            return found
        except Exception as error:
            found.append(error)


def use_simulated_gpu() -> Gpu:
    """Do in a script what conftest.py does for a test."""
    gpu = Gpu()
    gpu.open()
    arrays.DEVICE_IMPORTERS["cupy"] = lambda: lambda tensor: SimulatedArray(gpu, tensor)
    return gpu


def wait_until_ready(loader: fastfeed.Loader, least: int = 1) -> None:
    """Wait until so many batches lie on the device for the consumer."""
    deadline = time.monotonic() + 50
    while loader.stats().device.waiting < least:  # type: ignore[union-attr]
        assert time.monotonic() < deadline, str(loader.stats())
        time.sleep(0.002)
