"""Reads what the kernel says in /proc and /sys. Tests give a folder that looks like these."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from pathlib import Path


class System:
    """The files of a machine.

    Parameters
    ----------
    root : Path
        Under which ``proc``, ``sys`` and ``dev`` lie.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self.root = root

    def text(self, path: str) -> str | None:
        """Return a file's text without the white space around it; None if it cannot be read."""
        try:
            return (self.root / path).read_text(errors="replace").strip()
        except OSError:
            return None

    def number(self, path: str) -> int | None:
        """Return a file's number; None if there is none, as in ``max``."""
        text = self.text(path)
        return int(text) if text and re.fullmatch(r"-?\d+", text) else None

    def glob(self, pattern: str) -> list[Path]:
        """Return the paths that match, in order."""
        return sorted(self.root.glob(pattern))

    def meminfo_bytes(self, name: str) -> int | None:
        """Return a line of ``/proc/meminfo``, as bytes."""
        found = re.search(rf"^{name}:\s+(\d+) kB", self.text("proc/meminfo") or "", re.MULTILINE)
        return int(found[1]) * 1024 if found else None

    def cpu_model(self) -> str:
        """Return the processor's name as the kernel has it; else its architecture."""
        text = self.text("proc/cpuinfo") or ""
        found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
        return found[1] if found else platform.machine()

    def groups(self, controller: str) -> Iterator[str]:
        """Yield the folders of our cgroup and of those above it, of both versions.

        A limit may be set on any of them. In a container the path is often one that only the host
        can see; then the mount itself is our group, and comes last.
        """
        for line in (self.text("proc/self/cgroup") or "0::/").splitlines():
            _, controllers, path = (*line.split(":", 2), "", "")[:3]
            if not controllers:
                yield from _upwards("sys/fs/cgroup", path)
            elif controller in controllers.split(","):
                yield from _upwards(f"sys/fs/cgroup/{controller}", path)


def _upwards(mount: str, path: str) -> Iterator[str]:
    parts = [part for part in path.split("/") if part not in ("", "..")]
    for length in range(len(parts), -1, -1):
        yield "/".join((mount, *parts[:length]))


def listed(text: str) -> set[int]:
    """Return the numbers in the kernel's way to write them: ``0-3,8``."""
    ranges = (part.partition("-") for part in text.split(",") if part)
    return {n for first, _, last in ranges for n in range(int(first), int(last or first) + 1)}
