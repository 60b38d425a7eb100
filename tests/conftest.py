"""Every test ends by counting what it left behind: segments, worker processes, descriptors.

Everything that can block is under a watchdog (pytest-timeout, which prints all threads' stacks).
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator

import pytest
from leftovers import eventually, open_descriptors, worker_pids
from script_process import ScriptProcess

from fastfeed import _core


def pytest_collection_finish() -> None:
    """Have the collector pass over what tests and their imports are made of: with TensorFlow,
    PyTorch and JAX in memory it takes up to 2 s otherwise, after each test.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Assert that no segment, worker or descriptor outlives the test."""
    before = open_descriptors()
    yield
    gc.collect()
    assert eventually(lambda: not worker_pids()), f"workers left: {worker_pids()}"
    # A thread that was in the middle of an item at the end drops its segment with that item.
    assert eventually(lambda: _core.segments_alive() == 0), f"{_core.segments_alive()} segments"
    assert open_descriptors() <= before
    gc.freeze()  # nor is what this test has imported, traced and compiled garbage


@pytest.fixture(scope="session")
def script_process() -> Iterator[Callable[..., ScriptProcess]]:
    """Return a function of variables that gives the process in which scripts run with them."""
    made: dict[frozenset[tuple[str, str]], ScriptProcess] = {}

    def of(**environment: str) -> ScriptProcess:
        key = frozenset(environment.items())
        if key not in made:
            made[key] = ScriptProcess(**environment)
        return made[key]

    yield of
    for process in made.values():
        process.close()
