"""What a loader could leave behind in this system, counted."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from fastfeed.workers.forkserver import SERVERS

PATIENCE_S = 30.0


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


def eventually(condition: Callable[[], object]) -> bool:
    """Wait until a callable returns something true; False if it never does."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
