"""The size of /dev/shm, which ends other loaders and not this one."""

from __future__ import annotations

import os

from fastfeed.doctor.finding import Finding, Status
from fastfeed.errors import gib
from fastfeed.machine.system import System

LITTLE_BYTES = 1 << 30


def look(system: System) -> Finding:
    """Look at its size and what is free."""
    try:
        about = os.statvfs(system.root / "dev/shm")
    except OSError:
        size = free = 0
    else:
        size, free = about.f_blocks * about.f_frsize, about.f_bavail * about.f_frsize
    values = {"size_bytes": size, "free_bytes": free}
    seen = f"{gib(free)} of {gib(size)} free" if size else "there is none"
    return judge(seen, values, free)


def judge(seen: str, values: dict[str, int], free: int) -> Finding:
    """Say what so much room means."""
    if free >= LITTLE_BYTES:
        return Finding("/dev/shm", Status.OK, seen, values, "fastfeed does not use it.")
    return Finding(
        "/dev/shm", Status.NOTE, seen, values,
        "fastfeed does not use it: its memory has no name and no limit but the memory itself. "
        "Loaders that keep batches there, such as PyTorch's, die of a bus error when it is full.",
        "None needed for fastfeed; for others docker --shm-size=8g.",
    )  # fmt: skip
