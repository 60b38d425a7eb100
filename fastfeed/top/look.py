"""One look at a loader, and those before it."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

from fastfeed.monitor.growth import Growth
from fastfeed.monitor.journal import Records, Totals, View, WorkerNow
from fastfeed.top import processes
from fastfeed.top.processes import Memory

WINDOW_NS = 10_000_000_000
"""The "last seconds" of rates and shares."""


@dataclass(frozen=True)
class Look:
    """What a loader's counters said at one moment.

    Attributes
    ----------
    now_ns : int
        When (CLOCK_MONOTONIC).
    pid, name : int, str
        Whose loader it is, by the number that it has where it runs, and what it feeds.
    ordered, inline : bool
        Batches come in order; the consumer makes them itself.
    totals : Totals
    workers : list of WorkerNow
    memory : dict of int to Memory, or None
        Of the worker processes that are alive, by pid. None: the job runs in a container, and what
        it calls its workers means nothing here.
    """

    now_ns: int
    pid: int
    name: str
    ordered: bool
    inline: bool
    totals: Totals
    workers: list[WorkerNow]
    memory: dict[int, Memory] | None


def look_at(view: View) -> tuple[Look, Records]:
    """Return what a loader does now, and the records of the batches that it handed out."""
    records, totals, workers = view.records(), view.totals(), view.workers()
    name = processes.printable(view.name)
    own, *inside = processes.numbers(view.pid)
    memory = None if inside else _memory(workers)
    pid = inside[-1] if inside else own
    look = Look(
        time.monotonic_ns(), pid, name, view.ordered, view.inline, totals, workers, memory
    )
    return look, records


def _memory(workers: list[WorkerNow]) -> dict[int, Memory]:
    sizes = {worker.pid: processes.memory(worker.pid) for worker in workers if worker.pid}
    return {pid: size for pid, size in sizes.items() if size is not None}


class History:
    """The looks at one loader: what rates of workers, growth and replacements are computed from."""

    def __init__(self) -> None:
        self._looks: deque[Look] = deque()
        self._growth: dict[int, Growth] = {}
        self._pids: dict[int, int] = {}
        self.replaced = 0
        """Worker processes that gave way to another one since the first look."""

    def add(self, look: Look) -> None:
        """Take a newer look."""
        self._looks.append(look)
        while look.now_ns - self._looks[0].now_ns > WINDOW_NS and len(self._looks) > 2:
            self._looks.popleft()
        for pid, size in (look.memory or {}).items():
            self._growth.setdefault(pid, Growth()).add(look.now_ns, size.private)
        for worker in look.workers:
            before = self._pids.get(worker.worker, 0)
            self.replaced += bool(before and worker.pid and worker.pid != before)
            self._pids[worker.worker] = worker.pid or before

    @property
    def newest(self) -> Look:
        """The last look."""
        return self._looks[-1]

    def before(self, worker: WorkerNow) -> tuple[int, WorkerNow] | None:
        """Return when the same worker process was seen first in the window, and what it had done
        by then.
        """
        for look in list(self._looks)[:-1]:
            for earlier in look.workers:
                if (earlier.worker, earlier.pid) == (worker.worker, worker.pid):
                    return look.now_ns, earlier
        return None

    def grows(self, pid: int) -> float:
        """Return by how many bytes a second a process grows, steadily; 0.0: it does not."""
        growth = self._growth.get(pid)
        return growth.bytes_per_second if growth else 0.0
