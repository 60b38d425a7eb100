"""Every test ends by counting what it left behind: segments, worker processes, descriptors.

Everything that can block is under a watchdog (pytest-timeout, which prints all threads' stacks).
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastfeed import _core
from fastfeed.workers.forkserver import SERVERS

PATIENCE_S = 5.0


def worker_pids() -> list[int]:
    """Children of the fork servers, read from /proc."""
    found: list[int] = []
    for server in SERVERS.values():
        process = server._process
        if process is not None and process.poll() is None:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
            found += map(int, children.read_text().split())
    return found


def open_descriptors() -> set[str]:
    """What this process's descriptors of fastfeed's own kinds point to."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = os.readlink(entry)
        except OSError:
            continue
        if "memfd:fastfeed" in target or "pidfd" in target:
            found.add(f"{entry.name} {target}")
    return found


def eventually(condition: object) -> bool:
    """Wait until a callable returns something true; False if it never does."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():  # type: ignore[operator]
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Assert that no segment, worker or descriptor outlives the test."""
    before = open_descriptors()
    yield
    gc.collect()
    assert eventually(lambda: not worker_pids()), f"workers left: {worker_pids()}"
    assert _core.segments_alive() == 0
    assert open_descriptors() <= before
