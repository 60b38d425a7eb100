"""How much memory there is for slots."""

from __future__ import annotations

from fastfeed import _core
from fastfeed.doctor.finding import Finding, Status
from fastfeed.errors import gib
from fastfeed.machine.limits import limit_bytes
from fastfeed.machine.system import System

LITTLE_BYTES = 1 << 30
SLOTS = 14  # of a Loader with max_queue_size=10, besides those that the training holds
NO_LIMIT = 2**64 - 1


def look(system: System) -> Finding:
    """Look at the free memory and at the limits of the cgroups, as the Loader does."""
    total = system.meminfo_bytes("MemTotal")
    available = system.meminfo_bytes("MemAvailable")
    limit = limit_bytes(system, total)
    room = _core.headroom("" if system.root.as_posix() == "/" else str(system.root))
    values = {
        "total_bytes": total,
        "available_bytes": available,
        "limit_bytes": limit,
        "headroom_bytes": None if room == NO_LIMIT else room,
    }
    if room == NO_LIMIT:
        return Finding(
            "memory", Status.WARNING, "nobody says how much there is", values,
            "Slots that do not fit are noticed only when the kernel ends a process.",
            "Mount /proc; fastfeed reads /proc/meminfo and the cgroup's limit.",
        )  # fmt: skip
    seen = f"{_or_unknown(available)} of {_or_unknown(total)} available"
    if limit is not None:
        seen += f", in a cgroup with a limit of {gib(limit)}"
    seen += f"; a Loader may take {gib(room)}"
    status, means, cure = _judge(room, limit)
    return Finding("memory", status, seen, values, means, cure)


def _judge(room: int, limit: int | None) -> tuple[Status, str, str]:
    if room < LITTLE_BYTES:
        return (
            Status.WARNING,
            f"With max_queue_size=10 there are {SLOTS} slots and more, so batches of "
            f"{gib(room // SLOTS)} and more end in OutOfMemory.",
            "Use a smaller max_queue_size or batch size, end other jobs, or raise the limit "
            "(docker --memory, Kubernetes limits.memory).",
        )
    if limit is not None:
        return (
            Status.NOTE,
            "The limit counts slots, workers and training together. A Loader takes a fifth less "
            "than is left of it when it starts, and refuses to start with more.",
            "",
        )
    return Status.OK, "", ""


def _or_unknown(n_bytes: int | None) -> str:
    return "unknown" if n_bytes is None else gib(n_bytes)
