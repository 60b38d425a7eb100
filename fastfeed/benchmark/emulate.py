"""How many emulated accelerators a loader keeps fed: 1, 2, 4 ... until they wait too long.

Each accelerator is a process with a loader of its own, as each rank of a training job has one.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from contextlib import ExitStack

from fastfeed import _core
from fastfeed.benchmark.accelerators import Accelerator, utilization
from fastfeed.benchmark.checks import WrongBatches
from fastfeed.benchmark.contest import unfit
from fastfeed.benchmark.examine import Look
from fastfeed.benchmark.loaders import LoaderKind
from fastfeed.benchmark.process import LaneError, LaneProcess, OutOfTime
from fastfeed.benchmark.results import (
    FAILED,
    LEFT_OUT,
    NO_TIME,
    WRONG,
    Emulation,
    FedRow,
    Feeding,
)
from fastfeed.benchmark.settings import Deadline, Progress, Settings
from fastfeed.benchmark.task import Task, WorkSpec
from fastfeed.benchmark.works import KINDS_BYTES
from fastfeed.errors import ArgumentError, gib

MOST = 64
"""Accelerators."""
ROUND_SECONDS = 2.0
LEAST_PATIENCE = 20.0
"""Seconds for an answer, however little time is left: starting and one round take some."""
COPIES = 3
"""Of each batch that may be ahead, at the most: made, on its way, arrived."""


class Feeder:
    """All loaders and one kind of accelerator.

    Parameters
    ----------
    work : WorkSpec
    look : Look
    kinds : sequence of LoaderKind
    settings : Settings
    emulation : Emulation
        Gets the rows.
    deadline : Deadline
    progress : Progress
    """

    def __init__(
        self,
        work: WorkSpec,
        look: Look,
        kinds: Sequence[LoaderKind],
        settings: Settings,
        emulation: Emulation,
        deadline: Deadline,
        progress: Progress,
    ):
        self._work, self._look, self._kinds, self._settings = work, look, kinds, settings
        self._emulation, self._deadline, self._progress = emulation, deadline, progress

    def run(self) -> None:
        """Try one loader after the other."""
        rows = []
        for kind in self._kinds:
            row = FedRow(kind.name, reason=kind.missing or unfit(kind, self._look))
            self._emulation.rows.append(row)
            if row.reason:
                row.status = LEFT_OUT
            else:
                rows.append((kind, row))
        for kind, row in rows:
            self._progress.part(f"{self._emulation.accelerator} with {kind.name}", 0)
            self._try(kind, row)

    def _try(self, kind: LoaderKind, row: FedRow) -> None:
        try:
            self._climb(kind, row)
        except OutOfTime as error:
            row.status, row.reason = NO_TIME, f"{error}; more time: --seconds"
        except WrongBatches as error:
            row.status, row.reason = WRONG, str(error)
        except LaneError as error:
            row.status, row.reason = FAILED, str(error)

    def _share(self) -> Deadline:
        """Return how long one loader may take, so that all others get as long."""
        begun = sum(1 for row in self._emulation.rows if row.tried or row.reason)
        return Deadline(self._deadline.left() / max(1, len(self._emulation.rows) - begun))

    def _climb(self, kind: LoaderKind, row: FedRow) -> None:
        share, lanes, count = self._share(), list[LaneProcess](), 1
        with ExitStack() as stack:
            while count <= MOST and self._has_room(count - len(lanes), row):
                if row.tried and share.left() <= 0:
                    row.reason = "no time to try more"
                    return
                self._progress.now(f"{kind.name} feeds {count}")
                while len(lanes) < count:
                    lane = LaneProcess("lane", self._task(kind).dumps(), dict(kind.environment))
                    lanes.append(stack.enter_context(lane))
                    starting(lane, share)
                feeding = Feeding(count, self._rounds(lanes, share))
                row.tried.append(feeding)
                if statistics.median(feeding.utilization) < self._emulation.least_au:
                    return
                row.fed = count
                count *= 2

    def _task(self, kind: LoaderKind) -> Task:
        settings, expected = self._settings, self._look.expected
        return Task(
            kind.name,
            self._work,
            settings.workers,
            settings.queue,
            self._look.item_seconds,
            expected,
        )

    def _has_room(self, more: int, row: FedRow) -> bool:
        """Tell whether so many accelerators more fit into memory."""
        batch = self._emulation.batch_size * self._emulation.record_bytes
        if more * needed_bytes(batch, self._settings.queue) <= _core.headroom():
            return True
        row.reason = "no memory to try more"
        return False

    def _rounds(self, lanes: Sequence[LaneProcess], share: Deadline) -> list[float]:
        """Let all accelerators take batches at the same time; return each round's mean AU."""
        step, found = self._emulation.step_seconds, []
        for number in range(self._settings.repeats):
            if number and share.left() <= 0:
                break
            for lane in lanes:
                lane.order()
            answers = [lane.answer(patience(share)) for lane in lanes]
            found.append(statistics.mean(utilization(step, one["seconds"]) for one in answers))
        return found


def needed_bytes(batch_bytes: int, queue: int) -> int:
    """Return what one accelerator's processes take at the most."""
    return COPIES * (queue + 1) * batch_bytes + 2 * max(KINDS_BYTES, 2 * batch_bytes)


def require_room(accelerator: Accelerator, name: str, settings: Settings) -> None:
    """Find out whether one accelerator fits into memory, before anything is allocated.

    Raises
    ------
    ArgumentError
        It does not.
    """
    batch = accelerator.batch_size * accelerator.record_of(settings.scale)
    needed, room = needed_bytes(batch, settings.queue), _core.headroom()
    if needed > room:
        fitting = settings.scale * room / needed / 2
        raise ArgumentError(
            f"Feeding one {name} takes up to {gib(needed)} of memory, and there are {gib(room)}. "
            f"Make its records smaller, for example --scale {fitting:.1g}; the tables say so. A "
            "smaller --queue helps too.",
            f"scale={settings.scale}, queue={settings.queue}",
        )


def starting(lane: LaneProcess, share: Deadline) -> None:
    """Let a lane import its library and get ready."""
    lane.answer(patience(share))
    lane.order(ROUND_SECONDS)
    lane.answer(patience(share))


def patience(share: Deadline) -> float:
    """Return how long to wait for an answer, seconds: something shall be said in any case."""
    return max(LEAST_PATIENCE, share.left())
