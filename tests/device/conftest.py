"""A GPU for each test: a simulated one, and the proof that nothing is left of it.

With `pytest -m gpu` it is the real one, for the tests of which that asks, and there are those that
run on nothing else.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import real_gpu
from leftovers import eventually
from simulated_gpu import LIBRARY, Gpu, SimulatedArray

from fastfeed import _core
from fastfeed.devices import arrays

sys.path.append(str(Path(__file__).parents[1] / "process"))  # how scripts are run


def is_for_real(config: pytest.Config) -> bool:
    """Tell whether the tests were asked to run on a real GPU."""
    return config.option.markexpr == "gpu"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[Any]) -> None:
    """Mark what runs on a real GPU too, before tests are chosen by their marks."""
    for item in items:
        runs_on_both = item.path.name in real_gpu.SAME and "gpu" in item.fixturenames
        if runs_on_both and is_for_real(config):
            item.add_marker(pytest.mark.gpu)
        if item.get_closest_marker("gpu") and (why := real_gpu.missing()):
            item.add_marker(pytest.mark.skip(reason=why))


@pytest.fixture(scope="session")
def driver() -> Gpu:
    """The simulated driver, loaded once a process."""
    return Gpu()


@pytest.fixture
def gpu(request: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A GPU of which nothing is in use, before and after the test."""
    if is_for_real(request.config):
        yield from a_real_one(monkeypatch)
    else:
        yield from a_simulated_one(request, monkeypatch)


def a_real_one(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The machine's first GPU."""
    gpu = real_gpu.RealGpu()
    monkeypatch.setitem(arrays.DEVICE_IMPORTERS, "cupy", lambda: gpu.array)
    yield gpu
    gpu.close()
    gc.collect()
    assert eventually(lambda: (_core.devices_alive(), _core.segments_alive()) == (0, 0))


def a_simulated_one(request: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gpu]:
    """The driver of tests/simulated, beginning anew."""
    driver: Gpu = request.getfixturevalue("driver")
    devices, segments = _core.devices_alive(), _core.segments_alive()  # of a test that failed
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
    # A thread that was in the middle of an item at the end drops its segment with that item.
    assert eventually(
        lambda: _core.devices_alive() <= devices and _core.segments_alive() <= segments
    ), f"{_core.devices_alive()} devices and pools, {_core.segments_alive()} segments"
    assert driver.live() == 0
