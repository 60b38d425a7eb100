"""Every test ends by counting what it left behind: segments, worker processes, descriptors.

Everything that can block is under a watchdog (pytest-timeout, which prints all threads' stacks).
"""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Callable, Iterator

import pytest
from leftovers import eventually, open_descriptors, worker_pids
from script_process import ScriptProcess

from fastfeed import _core


def pytest_configure() -> None:
    """Hear Ctrl-C, as do all that tests start: a shell's background commands begin without it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Have the collector pass over what tests and their imports are made of: with TensorFlow,
    PyTorch and JAX in memory it takes up to 2 s otherwise, after each test.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Assert that no segment, worker or descriptor outlives the test. What a test before it has
    left is that test's failure alone.
    """
    pids, segments, descriptors = set(worker_pids()), _core.segments_alive(), open_descriptors()
    yield
    forget_the_failure()
    gc.collect()
    assert eventually(lambda: pids.issuperset(worker_pids())), f"workers left: {worker_pids()}"
    # A thread that was in the middle of an item at the end drops its segment with that item.
    assert eventually(lambda: _core.segments_alive() <= segments), (
        f"{_core.segments_alive()} segments, {segments} before"
    )
    assert eventually(lambda: open_descriptors() <= descriptors), open_descriptors() - descriptors
    gc.freeze()  # nor is what this test has imported, traced and compiled garbage


def forget_the_failure() -> None:
    """Drop the exception of a test that failed, which pytest keeps for debuggers: in its frames are
    loaders, which `gc.freeze` would keep for ever.
    """
    for name in ("last_type", "last_value", "last_traceback", "last_exc"):
        sys.__dict__.pop(name, None)


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
