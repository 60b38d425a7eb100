"""One loader in a process of its own, which loads when it is told to.

Who is measured must not feel another's threads, heap or workers, and its processor time and memory
are those of this process and what it starts. Orders are lines on standard input, answers lines of
JSON on what was standard output.
"""

from __future__ import annotations

import importlib
import itertools
import json
import multiprocessing
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any, TextIO

from fastfeed.benchmark.checks import WrongBatches, check
from fastfeed.benchmark.loaders import Setting, chosen
from fastfeed.benchmark.own import repeated
from fastfeed.benchmark.task import Load, Task

FEWEST, MOST = 16, 400_000
"""Timed batches of a round."""
FEWEST_SLOW = 8
SLOW = 0.05
"""Seconds a batch from which on few are timed, and none to find out how many fit into a round."""
RAISED = re.compile(r"^\w+(?:Error|Exception): .*$", re.MULTILINE)
"""The last line of a traceback, which libraries put into the text of an error of their own."""
SPARE = 6
"""Untimed batches besides those that may be ready beforehand."""


class Lane:
    """A loader and its work.

    Parameters
    ----------
    task : Task
    load : callable
        See `Load`.
    """

    def __init__(self, task: Task, load: Load):
        self._task = task
        (self._kind,) = chosen([task.loader])[:1]
        self._module = importlib.import_module(f"fastfeed.benchmark.loaders.{self._kind.module}")
        self._make = task.work.source(load)
        self._opened_at, self._firsts = 0.0, list[float]()
        self._untimed = task.queue + 2 * task.workers + SPARE
        if len(os.listdir("/proc/self/task")) > 1:
            # A fork has one thread, and would wait for what the others were doing: TensorFlow's,
            # JAX's, the source's own. Without any, fork is what libraries choose by themselves.
            multiprocessing.set_start_method("forkserver")

    def _opened(self, length: int) -> AbstractContextManager[Iterable[Any]]:
        setting = Setting(self._task.workers, self._task.queue, self._kind.option)
        source = self._make(length)
        self._streams = callable(source)
        self._opened_at = time.perf_counter()
        opened: AbstractContextManager[Iterable[Any]] = self._module.opened(source, setting)
        return opened

    def _epoch(self, batches: Iterable[Any], length: int) -> Iterator[Any]:
        """Start an epoch; a loader's first one says how long it took to its first batch."""
        epoch = iter(repeated(batches, length) if self._streams else batches)
        if self._opened_at:
            for first in epoch:
                self._firsts.append(time.perf_counter() - self._opened_at)
                self._opened_at = 0.0
                return itertools.chain((first,), epoch)
        return epoch

    def _timed(self, batches: Iterable[Any], length: int) -> float:
        epoch = self._epoch(batches, length)
        return timed_epoch(epoch, length, self._untimed, self._task.work.step_seconds)

    def _check(self) -> None:
        """Compare the first batches with what they must be."""
        expected = self._task.expected
        length, taken = len(expected.nbytes), 0
        with self._opened(length) as opened:
            for batch in itertools.islice(self._epoch(opened, length), length + 1):
                if taken < length:
                    check(taken, batch, expected)
                taken += 1
        require(taken, length)

    def _length(self, seconds: float) -> int:
        """Return how many batches an epoch must have for a round of so many seconds."""
        task, fewest = self._task, FEWEST_SLOW
        step = max(task.work.step_seconds, task.item_seconds / task.workers)
        if step < SLOW:
            short, fewest = self._untimed + FEWEST, FEWEST
            with self._opened(short) as opened:
                step = self._timed(opened, short)
        return self._untimed + int(min(MOST, max(fewest, seconds / step)))

    def serve(self, orders: TextIO, say: Callable[[dict[str, Any]], None]) -> None:
        """Get ready for rounds of as many seconds as the first line says; do one for each other."""
        say({"imported": True})
        seconds = float(orders.readline())
        self._check()
        length = self._length(seconds)
        with self._opened(length) as opened:
            self._opened_at = 0.0  # its first epoch is not asked for at once
            batches = length - self._untimed
            say({"batches": batches, "taken": length, "first_batch_seconds": self._firsts})
            for _ in orders:
                say({"seconds": self._timed(opened, length)})


def timed_epoch(batches: Iterable[Any], length: int, untimed: int, step: float) -> float:
    """Take one epoch and return the seconds a batch, from number `untimed` to the last one.

    Raises
    ------
    WrongBatches
        The epoch had another number of batches.
    """
    taken, begin, end = 0, 0.0, 0.0
    for batch in batches:
        del batch  # it may be a lease
        if step:
            time.sleep(step)
        taken += 1
        if taken == untimed:
            begin = time.perf_counter()
        elif taken == length:
            end = time.perf_counter()
    require(taken, length)
    return (end - begin) / (length - untimed)


def require(taken: int, length: int) -> None:
    """Compare the number of batches of an epoch.

    Raises
    ------
    WrongBatches
        There were more or fewer.
    """
    if taken != length:
        raise WrongBatches(f"an epoch of {length} batches gave {taken}")


def main(load: Load) -> None:
    """Serve on standard input and output; what libraries print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def say(answer: dict[str, Any]) -> None:
        answers.write(json.dumps(answer) + "\n")

    try:
        Lane(Task.loads(sys.argv[1]), load).serve(sys.stdin, say)
    except WrongBatches as error:
        say({"wrong": str(error)})
        raise
    except Exception as error:
        say({"error": root_cause(error)})
        raise


def root_cause(error: BaseException) -> str:
    """Return what went wrong at first: libraries wrap what a source raises."""
    while inner := error.__cause__ or next(iter(getattr(error, "exceptions", ())), None):
        if type(inner).__name__ == "RemoteTraceback":  # holds text, and no error
            break
        error = inner
    found = RAISED.findall(str(error)) or str(error).strip().splitlines() or [""]
    said = found[-1] if RAISED.match(found[-1]) else f"{type(error).__name__}: {found[0]}"
    return said.rstrip(": ")
