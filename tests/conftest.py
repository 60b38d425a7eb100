"""Every test ends by counting what it left behind: segments, worker processes, descriptors.

Everything that can block is under a watchdog (pytest-timeout, which prints all threads' stacks).
"""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from leftovers import eventually, open_descriptors, worker_pids

from fastfeed import _core


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Assert that no segment, worker or descriptor outlives the test."""
    before = open_descriptors()
    yield
    gc.collect()
    assert eventually(lambda: not worker_pids()), f"workers left: {worker_pids()}"
    assert _core.segments_alive() == 0
    assert open_descriptors() <= before
