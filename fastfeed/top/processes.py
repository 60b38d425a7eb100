"""What ``/proc`` says about the processes of a job."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fastfeed.monitor.journal import MEMORY

KIB = 1024


@dataclass(frozen=True)
class Memory:
    """Memory of a process, in bytes.

    Attributes
    ----------
    rss : int
        Resident: with every slot that it has touched, though all workers share those.
    private : int
        Its own (``RssAnon``): what a leak makes larger.
    """

    rss: int
    private: int


def numbers(pid: int) -> list[int]:
    """Return the numbers of a process: ours, then those in each container down to its own.

    More than one: what it calls its workers means other processes here, or none.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return [pid]
    found = re.search(r"^NSpid:(.*)$", status, re.MULTILINE)
    return [int(number) for number in found[1].split()] if found else [pid]


def memory(pid: int) -> Memory | None:
    """Return the memory of a process; None if it has ended or hides it."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    sizes = dict(line.split(":", 1) for line in status.splitlines())
    if "VmRSS" not in sizes or "RssAnon" not in sizes:
        return None  # it has just ended, and waits for its parent to ask how
    return Memory(*(int(sizes[name].split()[0]) * KIB for name in ("VmRSS", "RssAnon")))


def started(pid: int) -> int | None:
    """Return when a process was started, in clock ticks since boot; None if it has ended.

    With the number this names a process for ever: numbers are used again.
    """
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    state, *fields = status.rpartition(")")[2].split()  # the name before may hold anything
    return None if state in "ZX" else int(fields[18])


def command(pid: int) -> str:
    """Return the command line of a process in printable characters; empty if it has ended."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return ""
    return printable(" ".join(word.decode(errors="replace") for word in words if word))


def printable(text: str) -> str:
    """Return a text from another process without anything that would move our cursor."""
    return "".join(char if char.isprintable() else "?" for char in text)


def with_rings() -> list[int]:
    """Return this user's processes that have the ring of a loader open, by their numbers.

    Of a process and its forks, which all have it open, only the oldest is the loader's.
    """
    owners: dict[int, tuple[int, int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        pid = int(entry.name)
        with contextlib.suppress(OSError):  # it ended, or is another user's
            if entry.stat().st_uid == os.geteuid():
                for memory in _rings(entry):
                    older = owners.get(memory, (sys.maxsize, 0))
                    owners[memory] = min(older, (started(pid) or sys.maxsize, pid))
    return sorted({pid for _, pid in owners.values()})


def _rings(process: Path) -> Iterator[int]:
    """Yield the inode of the memory of each ring that a process has open."""
    for descriptor in os.scandir(process / "fd"):
        with contextlib.suppress(OSError):  # closed meanwhile
            if os.readlink(descriptor.path).startswith(MEMORY):
                yield descriptor.stat().st_ino
