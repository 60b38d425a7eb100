"""Looks at all loaders of a process, again and again."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass

from fastfeed.monitor.journal import MonitorError, View, views_of
from fastfeed.top import processes
from fastfeed.top.look import History, look_at
from fastfeed.top.model import Loader, loader


@dataclass(frozen=True)
class Picture:
    """What is shown at once.

    Attributes
    ----------
    time : float
        Seconds since 1970.
    pid, command : int, str
        The job.
    rss_bytes : int or None
        Its memory, with the slots.
    loaders : list of Loader
        Those that are open, oldest first.
    """

    time: float
    pid: int
    command: str
    rss_bytes: int | None
    loaders: list[Loader]


@dataclass(frozen=True)
class Job:
    """A process that has loaders.

    Attributes
    ----------
    pid, command : int, str
    loaders : list of str
        What they feed.
    """

    pid: int
    command: str
    loaders: list[str]


def jobs() -> list[Job]:
    """Return this user's processes that have a loader, by their numbers."""
    found = []
    for pid in processes.with_rings():
        with contextlib.suppress(MonitorError):  # a worker, or it has ended meanwhile
            names = [processes.printable(view.name) for view in views_of(pid)]
            found.append(Job(pid, processes.command(pid), names))
    return found


class Watch:
    """Looks at one job, until it ends.

    Parameters
    ----------
    pid : int

    Raises
    ------
    MonitorError
        There is no such process, it is another user's, or it has no loader.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.command = processes.command(pid)
        self._started = processes.started(pid)
        self._histories: dict[int, History] = {}
        if self._started is None:  # of one that its parent has not asked about, /proc still tells
            raise MonitorError(f"There is no process {pid}; it may have ended.")
        self._take(views_of(pid))

    def look(self) -> Picture | None:
        """Return what all loaders do now; None if the process has ended.

        A job may close a loader and open another one: each time all are searched for anew.
        """
        if self._has_ended():
            return None
        try:
            views = views_of(self.pid)
        except MonitorError:  # between two loaders, or it ended just now
            if self._has_ended():
                return None
            views = []
        memory = processes.memory(self.pid)
        return Picture(
            time=time.time(),
            pid=self.pid,
            command=self.command,
            rss_bytes=memory.rss if memory else None,
            loaders=self._take(views),
        )

    def _has_ended(self) -> bool:
        return processes.started(self.pid) != self._started

    def _take(self, views: list[View]) -> list[Loader]:
        """Look at each loader; forget those that were closed."""
        found: dict[int, History] = {}
        pictures = []
        for view in views:
            look, records = look_at(view)
            made_at = look.totals.started_ns  # a loader's name for as long as it lives
            found[made_at] = self._histories.get(made_at) or History()
            found[made_at].add(look)
            pictures.append((made_at, loader(found[made_at], records)))
        self._histories = found
        return [picture for _, picture in sorted(pictures, key=lambda pair: pair[0])]
