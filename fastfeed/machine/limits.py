"""How much of the machine there is to use: cores and memory."""

from __future__ import annotations

import os

from fastfeed.machine.system import System

MOST_BYTES = 2 << 30
SHARE = 0.1
"""Of the machine's memory, or of the cgroup's limit. Slots are locked into memory for a GPU."""


def default_memory_bytes(system: System | None = None) -> int:
    """Return what all slots of all loaders on this machine may take unless told otherwise.

    The least of 2 GiB, 10 % of the machine's memory and 10 % of the least limit of the cgroups.

    Parameters
    ----------
    system : System, optional
        Where to read what the kernel says. Default: this machine.
    """
    system = system or System()
    total = system.meminfo_bytes("MemTotal")
    limit = limit_bytes(system, total)
    known = [int(SHARE * size) for size in (total, limit) if size is not None]
    return max(1, min([MOST_BYTES, *known]))


def usable_cores(system: System | None = None, affinity: int | None = None) -> float:
    """Return how many cores this process and its workers may use together.

    The cores that it may run on, or the quota of its cgroup where that is less: ``1.5`` is
    possible.

    Parameters
    ----------
    system : System, optional
        Where to read what the kernel says. Default: this machine.
    affinity : int, optional
        Cores that this process may run on. Default: asked of the kernel.
    """
    bound = float(affinity or len(os.sched_getaffinity(0)))
    limit = quota(system or System())
    return bound if limit is None else min(bound, limit)


def quota(system: System) -> float | None:
    """Return the least quota of the cgroups that we are in, in cores; None without one."""
    limits = [quota_of(system, folder) for folder in system.groups("cpu")]
    return min((limit for limit in limits if limit is not None), default=None)


def quota_of(system: System, folder: str) -> float | None:
    """Return the quota that one cgroup has, in cores."""
    written = system.text(f"{folder}/cpu.max")  # version 2: "200000 100000" or "max 100000"
    if written:
        most, _, period = written.partition(" ")
        return int(most) / int(period or 100000) if most.isdigit() else None
    most_us = system.number(f"{folder}/cpu.cfs_quota_us")  # version 1; -1: none
    period_us = system.number(f"{folder}/cpu.cfs_period_us")
    return most_us / period_us if most_us and period_us and most_us > 0 else None


def limit_bytes(system: System, total: int | None) -> int | None:
    """Return the least limit of our cgroups that is below the machine's memory."""
    numbers = [
        system.number(f"{folder}/{name}")
        for folder in system.groups("memory")
        for name in ("memory.max", "memory.limit_in_bytes")
    ]
    least = min((number for number in numbers if number is not None), default=None)
    return least if least is not None and (total is None or least < total) else None
