"""How much of the processors a worker has used, whether it is a process or a thread."""

from __future__ import annotations

import time

# Of posix-timers.h in Linux: the complement of the number, then three bits for the kind.
KIND_BITS = 3
SCHEDULED_TIME = 2
ONE_THREAD = 4


def process_clock(pid: int) -> int:
    """Return the clock of the processor time of a process, for `cpu_seconds`."""
    return ~pid << KIND_BITS | SCHEDULED_TIME


def thread_clock(thread_id: int) -> int:
    """Return the clock of one thread, by the kernel's number for it: ``Thread.native_id``.

    Python's `time.pthread_getcpuclockid` reads memory that is gone when the thread has ended.
    """
    return ~thread_id << KIND_BITS | ONE_THREAD | SCHEDULED_TIME


def cpu_seconds(clock: int) -> float | None:
    """Return the processor time that a clock shows; None if its owner is gone, or the kernel does
    not say.
    """
    try:
        return time.clock_gettime(clock)
    except OSError:
        return None
