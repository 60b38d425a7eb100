"""What fastfeed asks of Linux, tried out.

Futexes are not tried: Python's own threads do not start without them.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import platform
from collections.abc import Callable

from fastfeed.doctor.finding import Finding, Status

SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
MADV_POPULATE_WRITE = 23
NEEDED = {
    "memfd seals": ("memfd_create", "Batches lie in sealed memfds: no Loader works."),
    "pidfd": ("pidfd_open", "Workers are watched by pidfds: worker processes do not work."),
}
"""What cannot be done without: the system call, and why."""


def look() -> Finding:
    """Try each call once."""
    failures = {name: _failure(attempt) for name, attempt in ATTEMPTS.items()}
    values = {"release": platform.release()} | {
        name: failure is None for name, failure in failures.items()
    }
    failed = [f"{name} ({failure})" for name, failure in failures.items() if failure]
    seen = f"Linux {platform.release()}, " + (
        f"without {', '.join(failed)}" if failed else f"with {', '.join(ATTEMPTS)}"
    )
    status, means, cure = _judge({name for name, failure in failures.items() if failure})
    return Finding("kernel", status, seen, values, means, cure)


def _judge(failed: set[str]) -> tuple[Status, str, str]:
    needed = [NEEDED[name] for name in sorted(failed) if name in NEEDED]
    if needed:
        return (
            Status.PROBLEM,
            " ".join(why for _, why in needed),
            "Linux 5.3 or newer; in a container or sandbox let its seccomp profile allow "
            f"{' and '.join(call for call, _ in needed)}.",
        )
    if failed:
        return (
            Status.NOTE,
            "Slots cannot be made ready at once, so the first batches are slower. Nothing fails.",
            "Linux 5.14 or newer.",
        )
    return Status.OK, "", ""


def _failure(attempt: Callable[[], None]) -> str | None:
    try:
        attempt()
    except (OSError, AttributeError) as error:
        return str(error)
    return None


def _memfd_seals() -> None:
    fd = os.memfd_create("fastfeed-doctor", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, SEALS)
        if fcntl.fcntl(fd, fcntl.F_GET_SEALS) & SEALS != SEALS:
            raise OSError("seals do not stay")
    finally:
        os.close(fd)


def _pidfd() -> None:
    os.close(os.pidfd_open(os.getpid()))


def _populate() -> None:
    with mmap.mmap(-1, mmap.PAGESIZE) as memory:
        memory.madvise(MADV_POPULATE_WRITE)


ATTEMPTS = {"memfd seals": _memfd_seals, "pidfd": _pidfd, "MADV_POPULATE_WRITE": _populate}
