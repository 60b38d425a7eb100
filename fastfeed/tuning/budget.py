"""What tuning may use: memory for slots, and cores."""

from __future__ import annotations

import os

from fastfeed.doctor.cores import quota
from fastfeed.doctor.memory import limit_bytes
from fastfeed.doctor.system import System

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
