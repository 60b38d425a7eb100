"""One contestant in a process of its own, whose batches end on the device.

``python -m bench.gpu.lane TASK``: reads orders, one JSON line each, and answers with JSON lines.
The consumer takes a batch and drops it; if it is told to, it does some work in Python before it
takes the next one.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from types import ModuleType
from typing import Any

import torch

from bench.gpu.busy_work import work
from bench.sources import Source, make

QUEUE = 16  # batches ahead on the host, for every contestant
UNTIMED = 48  # first batches of an epoch: more than all queues hold
FEWEST, MOST = 48, 20_000
PROBE = 144


@dataclass(frozen=True)
class Task:
    """What a lane is to do; travels as JSON on the command line.

    Parameters
    ----------
    module : str
        Below ``bench``, with a function ``opened(source, task)``: a context manager that gives what
        is iterated once an epoch and yields torch tensors on the device; and, if it has one,
        ``describe(opened)``, which returns what else is to be known.
    option : str
    work : str
        A key of `bench.sources.WORKS`, of prepared batches.
    form : str
        A key of `bench.sources.FORMS`.
    workers : int
    device : {"cuda", "cpu"}
    seconds : float
        That a round is to last.
    """

    module: str
    option: str
    work: str
    form: str
    workers: int
    device: str
    seconds: float

    def dumps(self) -> str:
        """Return the task as JSON."""
        return json.dumps(asdict(self))


class Lane:
    """A contestant and its work."""

    def __init__(self, task: Task):
        self._task = task
        self._module: ModuleType = importlib.import_module(f"bench.{task.module}")

    def serve(self, orders: Iterable[str], say: Callable[[dict[str, Any]], None]) -> None:
        """Get ready, then do one round for each order: its ``loops`` of work after each batch."""
        say({"imported": True})
        orders = iter(orders)
        next(orders)
        length = self._length()
        with self._open(length) as batches:
            self._epoch(batches, length, 0)
            say({"batches": length - UNTIMED, **self._about(batches)})
            for order in orders:
                loops = json.loads(order)["loops"]
                begin = time.perf_counter()
                seconds = self._epoch(batches, length, loops)
                elapsed = time.perf_counter() - begin
                say({"seconds": seconds, "epoch_seconds": elapsed, **self._about(batches)})

    def _open(self, length: int) -> Any:
        source = make(self._task.work, length, self._task.form)
        return self._module.opened(source, self._task)

    def _about(self, batches: Any) -> dict[str, Any]:
        describe = getattr(self._module, "describe", None)
        return {"about": describe(batches)} if describe else {}

    def _length(self) -> int:
        """Check what is delivered, and return how many batches make a round, the untimed too."""
        with self._open(PROBE) as batches:
            source = make(self._task.work, PROBE, "item")
            check(batches, source)
            seconds = self._epoch(batches, PROBE, 0)
        timed = int(min(MOST, max(FEWEST, self._task.seconds / seconds)))
        return timed + UNTIMED

    def _epoch(self, batches: Iterable[Any], length: int, loops: int) -> float:
        """Take one epoch; return the seconds a batch, from number `UNTIMED` to the last one, which
        has arrived on the device when the clock is read.
        """
        taken, begin, end = 0, 0.0, 0.0
        for batch in batches:
            del batch
            taken += 1
            if taken == UNTIMED:
                begin = self._now()
            if loops:
                work(loops)
            if taken == length:
                end = self._now()
        if taken != length:
            raise AssertionError(f"an epoch of {length} batches gave {taken}")
        return (end - begin) / (length - UNTIMED)

    def _now(self) -> float:
        """Return the time when everything that the device was told to do is done."""
        if self._task.device != "cpu":
            torch.cuda.synchronize()
        return time.perf_counter()


def check(batches: Iterable[Any], source: Source) -> None:
    """Take one epoch and compare every batch with what the source holds."""
    taken = 0
    for batch in batches:
        source.check(taken, batch.cpu().numpy())
        del batch
        taken += 1
    if taken != len(source):
        raise AssertionError(f"an epoch of {len(source)} batches gave {taken}")


def main() -> None:
    """Serve on standard input and output; what libraries print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def say(answer: dict[str, Any]) -> None:
        answers.write(json.dumps(answer) + "\n")

    try:
        Lane(Task(**json.loads(sys.argv[1]))).serve(sys.stdin, say)
    except Exception:
        say({"error": traceback.format_exc()})
        raise


if __name__ == "__main__":
    main()
