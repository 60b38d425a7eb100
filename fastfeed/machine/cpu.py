"""How busy the cores are that this process may use."""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Iterator

from fastfeed.machine.limits import quota_of
from fastfeed.machine.system import System

IDLE = slice(3, 5)
"""Columns of ``/proc/stat`` in which a core does nothing: idle, waiting for a disk."""
GUEST = 8
"""From this column on, times are counted in others already."""

Counter = tuple[float, float]
"""Used, and all that there was to use; both since some beginning."""


class CpuMeter:
    """Measures from when it is made.

    Parameters
    ----------
    system : System, optional
        Where to read what the kernel says. Default: this machine.
    """

    def __init__(self, system: System | None = None) -> None:
        self._system = system or System()
        self._before = self._read()

    def ratio(self) -> float:
        """Return the share that was used since then, by whichever process: of our cores' time, or
        of the quota of our cgroup, whichever is nearer to its end.

        Not a number where the kernel does not say, or nothing has been counted yet.
        """
        shares = [
            (used - used_before) / (there_was - there_had_been)
            for (used, there_was), (used_before, there_had_been) in zip(
                self._read(), self._before, strict=True
            )
            if there_was > there_had_been
        ]
        return max(shares, default=math.nan)

    def _read(self) -> list[Counter]:
        return [self._cores(), *self._groups()]

    def _cores(self) -> Counter:
        """Return ticks that our cores were busy, and all."""
        busy = total = 0
        ours = os.sched_getaffinity(0)
        text = self._system.text("proc/stat") or ""
        for core, columns in re.findall(r"^cpu(\d+) (.+)$", text, re.MULTILINE):
            if int(core) in ours:
                ticks = list(map(int, columns.split()))[:GUEST]
                total += sum(ticks)
                busy += sum(ticks) - sum(ticks[IDLE])
        return busy, total

    def _groups(self) -> Iterator[Counter]:
        """Yield the seconds that each of our cgroups with a quota has used, and could have."""
        for folder in self._system.groups("cpu"):
            limit = quota_of(self._system, folder)
            if limit is not None:
                yield self._used_seconds(folder), limit * time.monotonic()

    def _used_seconds(self, folder: str) -> float:
        found = re.search(
            r"^usage_usec (\d+)$", self._system.text(f"{folder}/cpu.stat") or "", re.M
        )
        if found:
            return int(found[1]) / 1e6
        return (self._system.number(f"{folder}/cpuacct.usage") or 0) / 1e9  # version 1
