"""Contestants on one GPU: all are started, then each does a round in turn, in changing order."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from bench.gpu.lane import QUEUE, Task
from bench.gpu.record import Record
from bench.gpu.settings import Settings
from bench.harness import LaneError, LaneProcess, missing_modules
from bench.rivals import Contestant

MODULE = "bench.gpu.lane"
SETTLE_AT_MOST = 0.5  # seconds: a driver's own threads may never be idle


@dataclass
class Rounds:
    """What one contestant's rounds of one kind brought, a batch; and what it says about itself."""

    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    about: dict[str, Any] = field(default_factory=dict)


Results = dict[tuple[str, str], Rounds]  # (kind of round, contestant)


class Contest:
    """Several contestants with one work.

    Parameters
    ----------
    group : str
        Under which failures are written down.
    work : str
        A key of `bench.sources.WORKS`.
    contestants : sequence of Contestant
    workers : int
    settings : Settings
    record : Record
    """

    def __init__(
        self,
        group: str,
        work: str,
        contestants: Sequence[Contestant],
        workers: int,
        settings: Settings,
        record: Record,
    ):
        self._group, self._work, self._contestants = group, work, contestants
        self._workers, self._settings, self._record = workers, settings, record
        self._lanes: dict[str, LaneProcess] = {}
        self._about: dict[str, dict[str, Any]] = {}
        self._order = random.Random(0)
        self._stack = ExitStack()

    def __enter__(self) -> Contest:
        """Start everybody, and let them get ready one after the other."""
        self._stack.__enter__()
        for contestant in self._contestants:
            missing = missing_modules(contestant)
            with self._guard(contestant.name):
                if missing:
                    raise LaneError(f"not installed: {', '.join(missing)}")
                self._start(contestant)
        for name in list(self._lanes):
            with self._guard(name):
                self._get_ready(name)
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.__exit__(*exception)

    def round(self, kinds: Mapping[str, int], results: Results) -> None:
        """Add a round: each contestant does each kind, with so many loops of work a batch."""
        turns = [(kind, name) for kind in kinds for name in self._lanes]
        self._order.shuffle(turns)
        for kind, name in turns:
            if name in self._lanes:
                with self._guard(name):
                    self._turn(name, kinds[kind], results.setdefault((kind, name), Rounds()))
        for kind, name in list(results):
            if name not in self._lanes:
                del results[kind, name]  # half a contest is none

    def _start(self, contestant: Contestant) -> None:
        task = Task(
            contestant.module, contestant.option, self._work, contestant.form, self._workers,
            self._settings.device, self._settings.seconds,
        )  # fmt: skip
        environment = {"CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES", "0")}
        lane = LaneProcess(task, environment | dict(contestant.environment), MODULE)
        self._lanes[contestant.name] = self._stack.enter_context(lane)

    def _get_ready(self, name: str) -> None:
        lane = self._lanes[name]
        lane.answer()  # its imports are done; those of all lanes go on at the same time
        lane.order()
        answer = lane.answer()
        before = {f"{key}_before": value for key, value in answer.get("about", {}).items()}
        self._about[name] = before | {"batches_per_round": answer["batches"]}
        lane.settle(SETTLE_AT_MOST)

    def _turn(self, name: str, loops: int, rounds: Rounds) -> None:
        lane = self._lanes[name]
        before = lane.cpu_seconds()
        lane.order(json.dumps({"loops": loops}))
        answer = lane.answer()
        lane.settle(SETTLE_AT_MOST)
        rounds.seconds.append(answer["seconds"])
        rounds.about = answer.get("about", {}) | self._about[name]
        # The untimed batches are made and taken as the timed ones are, so they count too.
        share = answer["seconds"] / answer["epoch_seconds"]
        rounds.cpu_seconds.append((lane.cpu_seconds() - before) * share)

    @contextmanager
    def _guard(self, name: str) -> Iterator[None]:
        """Write down what goes wrong with a contestant, who then takes no part any more."""
        try:
            yield
        except (LaneError, OSError) as error:
            self._record.failed(self._group, name, str(error))
            self._lanes.pop(name, None)  # the stack ends its process


def write_down(
    record: Record, group: str, kind: str, results: Results, bytes_a_batch: int, **extra: Any
) -> None:
    """Record one kind of rounds, in the place of what was recorded of fewer of them."""
    for (of_kind, name), rounds in results.items():
        if of_kind == kind and rounds.seconds:
            record(
                group, name, "batches/s", [1 / seconds for seconds in rounds.seconds],
                bytes_a_batch=bytes_a_batch,
                cpu_seconds_a_batch=rounds.cpu_seconds,
                queue=QUEUE,
                **rounds.about,
                **extra,
            )  # fmt: skip
