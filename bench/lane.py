"""One contestant in a process of its own, which loads when it is told to.

The harness starts it as ``python -m bench.lane TASK`` and sends a line for each round; the answers
are lines of JSON. A process each, because TensorFlow's threads, a fork of another contestant's
workers or a full heap must not be felt by the next one.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from types import ModuleType
from typing import Any, TextIO

import numpy as np

from bench.sources import WORKS, Source, make

WORKERS = 2
QUEUE = 10  # batches ahead, for every contestant
UNTIMED = 24  # first batches of an epoch: more than the queue holds, so nothing is ready beforehand
FEWEST, MOST = 24, 400_000  # timed batches of a round
PROBE = 60  # batches of the epoch that finds out how many fit into a round


@dataclass(frozen=True)
class Task:
    """What a lane is to do; travels as JSON on the command line."""

    module: str
    option: str
    work: str
    form: str
    folder: str
    seconds: float  # that the timed part of a round is to last

    def dumps(self) -> str:
        """Return the task as JSON."""
        return json.dumps(asdict(self))


Round = Callable[[], float]


def timed_epoch(batches: Iterable[Any], length: int, untimed: int, step: float) -> float:
    """Take one epoch and return the seconds a batch, from number `untimed` to the last one."""
    taken, begin, end = 0, 0.0, 0.0
    for batch in batches:
        del batch  # it may be a lease
        taken += 1
        if taken == untimed:
            begin = time.perf_counter()
        elif taken == length:
            end = time.perf_counter()
        if step:
            time.sleep(step)
    if taken != length:
        raise AssertionError(f"an epoch of {length} batches gave {taken}")
    return (end - begin) / (length - untimed)


def checked_epoch(batches: Iterable[Any], source: Source) -> None:
    """Take one epoch and compare every batch with what the source holds."""
    taken = 0
    for batch in batches:
        source.check(taken, np.asarray(batch))
        del batch
        taken += 1
    if taken != len(source):
        raise AssertionError(f"an epoch of {len(source)} batches gave {taken}")


class Lane:
    """A contestant and its work.

    Parameters
    ----------
    task : Task
        As given by the harness.
    """

    def __init__(self, task: Task):
        self._task = task
        self._step = WORKS[task.work].step
        self._module: ModuleType = importlib.import_module(f"bench.{task.module}")

    def _open(self, length: int) -> tuple[Source, AbstractContextManager[Any]]:
        task = self._task
        source = make(task.work, length, task.form, task.folder)
        return source, self._module.opened(source, WORKERS, QUEUE, task.option)

    def _run(self, opened: Any, length: int, untimed: int) -> float:
        if callable(opened):  # no batches to iterate, only work to be done
            return float(opened(length - untimed))
        return timed_epoch(opened, length, untimed, self._step)

    def length(self) -> tuple[int, int]:
        """Check what is delivered, measure a short epoch; return batches of a round, untimed."""
        fixed = WORKS[self._task.work].batches
        if fixed:
            return fixed + UNTIMED, UNTIMED
        source, opening = self._open(PROBE)
        with opening as opened:
            if not callable(opened):
                checked_epoch(opened, source)
            seconds = self._run(opened, PROBE, UNTIMED)
        timed = int(min(MOST, max(FEWEST, self._task.seconds / seconds)))
        untimed = max(UNTIMED, timed // 20)
        return timed + untimed, untimed

    def serve(self, orders: TextIO, say: Callable[[dict[str, Any]], None]) -> None:
        """Get ready, then do one round for each line of `orders`."""
        say({"imported": True})
        orders.readline()
        length, untimed = self.length()
        _, opening = self._open(length)
        with opening as opened:
            self._run(opened, length, untimed)
            say({"batches": length - untimed})
            for _ in orders:
                say({"seconds": self._run(opened, length, untimed)})


def main() -> None:
    """Serve on standard input and output; what libraries print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def say(answer: dict[str, Any]) -> None:
        answers.write(json.dumps(answer) + "\n")

    try:
        Lane(Task(**json.loads(sys.argv[1]))).serve(sys.stdin, say)
    except Exception as error:
        say({"error": f"{type(error).__name__}: {error}"})
        raise


if __name__ == "__main__":
    main()
