"""Batches that several workers make in parts, on their way to a simulated GPU."""

from __future__ import annotations

import itertools
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from device_support import each_workers, host, wait_until_ready
from rows_sources import KillsAt, Samples, named
from simulated_gpu import Gpu

from fastfeed import Loader
from fastfeed.errors import WorkerCrashed


def numbers(batch: Any) -> list[int]:
    """Return the samples of a batch on the device."""
    return [int(number) for number in np.asarray(batch[0])[:, 0]]


def outcomes(loader: Loader) -> list[Any]:
    """Go through one epoch past every exception; return the samples of each batch."""
    found: list[Any] = []
    batches = iter(loader)
    while True:
        try:
            found.append(numbers(next(batches)))
        except StopIteration:
            return found
        except Exception as error:
            found.append(error)


def in_order(length: int, size: int) -> list[list[int]]:
    return [list(range(start, min(start + size, length))) for start in range(0, length, size)]


@each_workers
@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("stable", [False, True])
def test_every_sample_arrives_in_its_place(
    gpu: Gpu, kind: dict[str, Any], ordered: bool, stable: bool
) -> None:
    """The first batches, whose parts each bring memory of their own, and those in slots."""
    options = {"ordered": ordered, "stable_addresses": stable} | kind
    with Loader(Samples(66), 8, device="cuda", rows=True, **options) as loader:
        for _ in range(3):
            found = outcomes(loader)
            assert (found if ordered else sorted(found)) == in_order(66, 8)


@each_workers
def test_the_bytes_are_those_of_undivided_batches(gpu: Gpu, kind: dict[str, Any]) -> None:
    source = Samples(40, look=named)
    with Loader(source, 8, device="cuda", rows=True, **kind) as loader:
        found = [host(batch) for batch in loader]
    with Loader(source, 8, workers=0) as loader:
        for given, expected in zip(found, loader, strict=True):
            assert list(given) == list(expected)
            assert given["name"] == expected["name"]
            np.testing.assert_array_equal(given["x"], expected["x"])
            np.testing.assert_array_equal(given["y"], expected["y"])


@each_workers
@pytest.mark.parametrize("batch", [0, 3])
def test_an_exception_in_one_part_takes_the_place_of_the_batch(
    gpu: Gpu, kind: dict[str, Any], batch: int
) -> None:
    def fails(number: int) -> None:
        if number == 8 * batch + 6:
            raise KeyError(number)

    with Loader(Samples(64, fails), 8, device="cuda", rows=True, **kind) as loader:
        for _ in range(2):
            found = outcomes(loader)
            assert isinstance(found[batch], KeyError)
            expected: list[Any] = in_order(64, 8)
            del found[batch], expected[batch]
            assert found == expected


def test_deaths_in_the_middle_of_parts(gpu: Gpu, tmp_path: Path) -> None:
    source = Samples(64, KillsAt(tmp_path / "calls", 29))
    with Loader(source, 8, device="cuda", rows=True, workers=2) as loader:
        assert outcomes(loader) == in_order(64, 8)
    always = Samples(64, lambda number: number == 29 and os.kill(os.getpid(), signal.SIGKILL))
    with Loader(always, 8, device="cuda", rows=True, workers=2) as loader:
        found = outcomes(loader)
        assert isinstance(found.pop(3), WorkerCrashed)
        assert found == [batch for batch in in_order(64, 8) if 29 not in batch]


@each_workers
@pytest.mark.parametrize("ordered", [True, False])
def test_loops_that_are_left_in_the_middle(gpu: Gpu, kind: dict[str, Any], ordered: bool) -> None:
    with Loader(Samples(160), 8, device="cuda", rows=True, ordered=ordered, **kind) as loader:
        for taken in (1, 3):
            for _ in itertools.islice(loader, taken):
                pass
        wait_until_ready(loader)
        found = outcomes(loader)
        assert (found if ordered else sorted(found)) == in_order(160, 8)
        assert loader.stats().device.buffers <= 6  # type: ignore[union-attr]
