"""One work and all loaders: each in its lane, one at a time, round after round.

A machine's speed drifts: its clock, its neighbours, its page cache. So nobody does all rounds in a
row: each round lets every loader run once, in an order that is shuffled anew, and the medians of
the rounds are compared.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from fastfeed.benchmark.checks import WrongBatches
from fastfeed.benchmark.examine import Look
from fastfeed.benchmark.loaders import LoaderKind
from fastfeed.benchmark.process import LaneError, LaneProcess, OutOfTime
from fastfeed.benchmark.results import FAILED, LEFT_OUT, NO_TIME, WRONG, Row, Table
from fastfeed.benchmark.settings import Deadline, Progress, Settings
from fastfeed.benchmark.task import Task, WorkSpec
from fastfeed.doctor import copies

SHORTEST, LONGEST = 0.05, 1.0
"""Seconds of a round."""
LEAST_PATIENCE = 10.0
"""Seconds for an answer, however little time is left."""
IMPORT_PATIENCE, START_PATIENCE = 60.0, 30.0
"""The same while all libraries are imported, at once, and while workers are started."""
READY_SECONDS, BETWEEN_SECONDS = 0.8, 0.3
"""What a lane takes to get ready, and to settle after a round, about."""
STARTING_SECONDS, READY, BATCHES_OF_A_ROUND = 2.0, 3, 32
"""For advice: importing a library, rounds' worth of batches before the first round."""


class Contest:
    """All loaders with one work.

    Parameters
    ----------
    work : WorkSpec
    look : Look
        What its batches are.
    kinds : sequence of LoaderKind
    settings : Settings
    table : Table
        Gets the rows, each as soon as there is something to say.
    deadline : Deadline
    progress : Progress
    """

    def __init__(
        self,
        work: WorkSpec,
        look: Look,
        kinds: Sequence[LoaderKind],
        settings: Settings,
        table: Table,
        deadline: Deadline,
        progress: Progress,
    ):
        self._work, self._look, self._kinds, self._settings = work, look, kinds, settings
        self._table, self._deadline, self._progress = table, deadline, progress
        self._lanes: dict[str, LaneProcess] = {}
        self._rows: dict[str, Row] = {}
        self._share = deadline.left()

    def run(self) -> None:
        """Start everybody, let them get ready one after another, then do the rounds."""
        taking_part = [kind for kind in self._kinds if self._enters(kind)]
        self._entered = len(taking_part)
        rounds = self._entered * self._settings.repeats
        self._progress.part(self._table.title, rounds)
        with ExitStack() as stack:
            for kind in taking_part:
                lane = LaneProcess("lane", self._task(kind).dumps(), dict(kind.environment))
                self._lanes[kind.name] = stack.enter_context(lane)
            self._each("imports its library", self._import)
            self._measure_copies()
            self._round_seconds = self._fitting()
            self._each("gets ready", self._get_ready)
            self._each("warms up", self._warm_up)
            self._do_rounds()
            for lane in self._lanes.values():
                lane.no_more()

    def _enters(self, kind: LoaderKind) -> bool:
        """Make a loader's row; tell whether it can do this work at all."""
        row = Row(kind.name, reason=kind.missing or unfit(kind, self._look))
        self._table.rows.append(row)
        self._rows[kind.name] = row
        if row.reason:
            row.status = LEFT_OUT
        return not row.reason

    def _task(self, kind: LoaderKind) -> Task:
        expected = self._look.expected
        if self._work.is_own and kind.fills:  # may draw from its rng what __getitem__ does not
            expected = type(expected)(expected.nbytes)
        settings = self._settings
        return Task(
            kind.name,
            self._work,
            settings.workers,
            settings.queue,
            self._look.item_seconds,
            expected,
        )

    def _each(self, what: str, action: Callable[[str], None]) -> None:
        names = list(self._lanes)
        for done, name in enumerate(names):
            self._progress.now(f"{name} {what}")
            self._share = self._deadline.left() / (len(names) - done)
            self._try(name, action)

    def _try(self, name: str, action: Callable[[str], None]) -> None:
        row = self._rows[name]
        try:
            action(name)
            return
        except OutOfTime as error:
            row.status, row.reason = NO_TIME, f"{error}; {self._more()}"
        except WrongBatches as error:
            row.status, row.reason = WRONG, str(error)
        except LaneError as error:
            row.status, row.reason = FAILED, str(error)
        if row.status != NO_TIME:
            row.seconds.clear()  # half a contest is none
        self._lanes.pop(name).end(kindly=False)

    def _more(self) -> str:
        """Return what to do about too little time."""
        seconds = max(self._work.step_seconds, self._look.item_seconds) * BATCHES_OF_A_ROUND
        each = STARTING_SECONDS + (READY + self._settings.repeats) * (seconds + BETWEEN_SECONDS)
        return f"try --seconds {round(each * self._entered, -1):.0f}, or fewer --loaders"

    def _fitting(self) -> float:
        """Return how long rounds may be for all of them to fit into the time that is left."""
        each = self._deadline.left() / max(1, len(self._lanes)) - READY_SECONDS
        seconds = each / (1 + self._settings.repeats) - BETWEEN_SECONDS
        return min(LONGEST, max(SHORTEST, seconds))

    def _import(self, name: str) -> None:
        self._lanes[name].answer(max(IMPORT_PATIENCE, self._deadline.left()))

    def _measure_copies(self) -> None:
        """Find the copy limit, while everybody's process is there and waits."""
        self._progress.now("copy limit")
        values = copies.look().values
        fastest = max(float(str(values.get(key, 0))) for key in COPY_RATES)
        self._table.copy_bytes_per_second = fastest * copies.GB

    def _get_ready(self, name: str) -> None:
        lane, row = self._lanes[name], self._rows[name]
        lane.order(self._round_seconds)
        answer = lane.answer(max(START_PATIENCE, self._share))
        row.batches, row.taken = answer["batches"], answer["taken"]
        row.first_batch_seconds = answer["first_batch_seconds"]
        lane.settle()

    def _warm_up(self, name: str) -> None:
        lane, row = self._lanes[name], self._rows[name]
        lane.order()
        lane.answer(max(LEAST_PATIENCE, self._share), look=True)
        row.peak_bytes = lane.peak_bytes
        lane.settle()

    def _do_rounds(self) -> None:
        order = random.Random(0)
        for number in range(self._settings.repeats):
            names = list(self._lanes)
            order.shuffle(names)
            for name in names:
                self._share = self._deadline.left()
                if not number or self._share > 0:  # everybody gets a round
                    self._progress.now(f"{name}, round {number + 1}", 1)
                    self._try(name, self._do_round)

    def _do_round(self, name: str) -> None:
        lane, row = self._lanes[name], self._rows[name]
        before = lane.cpu_seconds()
        lane.order()
        row.seconds.append(lane.answer(max(LEAST_PATIENCE, self._share))["seconds"])
        used = lane.cpu_seconds() - before
        row.cpu_seconds.append(used / row.taken)
        lane.settle()


COPY_RATES = ("one_core_gb_per_s", "all_cores_gb_per_s")


def unfit(kind: LoaderKind, look: Look) -> str:
    """Return why a loader cannot feed such a source; empty: it can."""
    if look.stream and not kind.streams:
        return "needs a source with __len__ and __getitem__"
    if kind.fills and not look.fills:
        return "the source has no fill(index, out, rng)"
    return ""
