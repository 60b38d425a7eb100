"""A simulated GPU for each test, and the proof that nothing is left of it."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest
from simulated_gpu import LIBRARY, Gpu, SimulatedArray

from fastfeed import _core
from fastfeed.devices import arrays


@pytest.fixture(scope="session")
def driver() -> Gpu:
    """The simulated driver, loaded once a process."""
    return Gpu()


@pytest.fixture
def gpu(driver: Gpu, monkeypatch: pytest.MonkeyPatch, request: Any) -> Iterator[Gpu]:
    """A GPU of which nothing is in use, before and after the test."""
    driver.reset(seed=sum(request.node.name.encode()))
    monkeypatch.setenv("FASTFEED_CUDA_LIBRARY", str(LIBRARY))
    monkeypatch.setitem(
        arrays.DEVICE_IMPORTERS, "cupy", lambda: lambda tensor: SimulatedArray(driver, tensor)
    )
    driver.open()
    yield driver
    driver.close()
    gc.collect()
    assert driver.forgiven or driver.violations() == []
    assert (_core.devices_alive(), _core.segments_alive()) == (0, 0)
    assert driver.live() == 0
