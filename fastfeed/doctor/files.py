"""How many files, sockets and the like this process may have open."""

from __future__ import annotations

import resource

from fastfeed.doctor.finding import Finding, Status
from fastfeed.doctor.system import System

A_WORKER = 4
"""Descriptors that a Loader has open for each worker: its socket, its pidfd, two in passing."""
A_LOADER = 16
MANY_WORKERS = 64


def look(system: System, limits: tuple[int, int] | None = None) -> Finding:
    """Look at the limit of open files and at how many there are.

    Parameters
    ----------
    limits : (int, int), optional
        Soft and hard limit. Default: asked of the kernel.
    """
    soft, hard = limits or resource.getrlimit(resource.RLIMIT_NOFILE)
    n_open = len(system.glob("proc/self/fd/*"))
    values = {"soft_limit": _finite(soft), "hard_limit": _finite(hard), "open": n_open}
    if soft == resource.RLIM_INFINITY:
        return Finding("open files", Status.OK, "no limit", values)
    workers = max(0, (soft - n_open - A_LOADER) // A_WORKER)
    seen = f"{n_open} of at most {soft} open"
    if workers >= MANY_WORKERS:
        return Finding("open files", Status.OK, seen, values)
    return Finding(
        "open files", Status.WARNING, seen, values,
        f"A Loader has about {A_WORKER} open for each worker, so it can have {workers} workers; "
        "with more it ends in 'Too many open files'.",
        f"ulimit -n {_enough(hard)} before the job; docker --ulimit nofile=4096.",
    )  # fmt: skip


def _finite(limit: int) -> int | None:
    return None if limit == resource.RLIM_INFINITY else limit


def _enough(hard: int) -> int:
    return 4096 if hard == resource.RLIM_INFINITY else min(4096, hard)
