"""How many files, sockets and the like this process may have open."""

from __future__ import annotations

import resource

from fastfeed.doctor.finding import Finding, Status
from fastfeed.machine.system import System

A_WORKER = 4
"""Descriptors that a Loader has open for each worker, at the most."""
A_LOADER = 6
"""And besides, with the fork server's."""
MANY_WORKERS = 64
ENOUGH = 4096


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
        f"A Loader has about {A_WORKER} open for each worker, so it can have about {workers} "
        "workers; with more it ends in 'Too many open files'.",
        _cure(soft, hard),
    )  # fmt: skip


def _finite(limit: int) -> int | None:
    return None if limit == resource.RLIM_INFINITY else limit


def _cure(soft: int, hard: int) -> str:
    if hard == resource.RLIM_INFINITY or hard > soft:
        most = ENOUGH if hard == resource.RLIM_INFINITY else min(ENOUGH, hard)
        return f"ulimit -n {most} before the job."
    return (
        f"Raise the hard limit, which is {hard} too: docker --ulimit nofile={ENOUGH}, "
        "/etc/security/limits.conf, systemd's LimitNOFILE."
    )
