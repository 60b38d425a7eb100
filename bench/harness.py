"""Contests: the same work for all, one contestant at a time, in turn, round after round.

A machine's speed drifts: its clock, its neighbours, its page cache. So nobody does all his rounds
in a row. Each round lets every contestant run once, in an order that changes, and the medians of
the rounds are compared.
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from bench.lane import Task
from bench.rivals import Contestant

ROOT = Path(__file__).resolve().parent.parent
DEADLINE = 120.0  # seconds for any answer; the slowest import takes a tenth of it
SETTLED = 0.05  # seconds without work done by a contestant before the next one's turn
SETTLE_AT_MOST = 2.0
ENVIRONMENT = {
    "CUDA_VISIBLE_DEVICES": "",  # everything here happens in host memory
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "PYTHONWARNINGS": "ignore",
    "OPENCV_FOR_THREADS_NUM": "1",  # workers are the parallelism; with more, the rivals lose most
}


class LaneError(Exception):
    """A contestant could not do the work; the message says why."""


class LaneProcess:
    """The harness's end of a lane.

    Parameters
    ----------
    task : with a method ``dumps``
        What the contestant is to do, as text for `module`.
    environment : mapping of str to str
        Of its process, on top of this one's and `ENVIRONMENT`.
    module : str
        The lane's program.
    """

    def __init__(self, task: Any, environment: Mapping[str, str], module: str = "bench.lane"):
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed by __exit__)
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, task.dumps()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            cwd=ROOT,
            env=os.environ | ENVIRONMENT | environment,
            start_new_session=True,  # so that close() also ends the workers of a dead contestant
        )
        self._tree = psutil.Process(self._process.pid)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._process.stdout, selectors.EVENT_READ)

    def __enter__(self) -> LaneProcess:
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process.stdout.close()
        self._selector.close()
        self._errors.close()

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._process.pid

    def order(self, what: str = "") -> None:
        """Tell the lane to go on; `what` is a line that tells it more."""
        self._process.stdin.write(f"{what}\n".encode())
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """Wait for the lane's next line.

        Raises
        ------
        LaneError
            The contestant failed, ended or said nothing for `DEADLINE` seconds.
        """
        if not self._selector.select(DEADLINE):
            raise LaneError(f"no answer in {DEADLINE:.0f} s")
        line = self._process.stdout.readline()
        if not line:
            raise LaneError(f"ended by itself: {self._last_words()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise LaneError(answer["error"])
        return answer

    def settle(self, at_most: float = SETTLE_AT_MOST) -> None:
        """Wait until the lane and its workers use no CPU, so that the next one has it all."""
        until = time.monotonic() + at_most
        before, now = -1.0, self.cpu_seconds()
        while now != before and time.monotonic() < until:
            time.sleep(SETTLED)
            before, now = now, self.cpu_seconds()

    def cpu_seconds(self) -> float:
        """Return what the lane and its workers have used, those that have ended too."""
        total = 0.0
        for process in [self._tree, *self._tree.children(recursive=True)]:
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += sum(times[:4])  # user and system, its own and its dead children's
        return total

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        return lines[-1] if lines else "no message"


@dataclass
class Result:
    """What a contest brought: seconds a batch of each round, and who could not take part."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    batches: dict[str, int] = field(default_factory=dict)
    disturbance: dict[str, list[float]] = field(default_factory=dict)  # cores that others used
    left_out: dict[str, str] = field(default_factory=dict)


class Contest:
    """Several contestants with one work.

    Parameters
    ----------
    work : str
        A key of `bench.sources.WORKS`.
    contestants : sequence of Contestant
    rounds : int
    seconds : float
        That one round of one contestant is to last, about.
    folder : path
        Where the JPEG files are.
    """

    def __init__(
        self,
        work: str,
        contestants: Sequence[Contestant],
        rounds: int,
        seconds: float,
        folder: Path,
    ):
        self._work, self._rounds, self._seconds, self._folder = work, rounds, seconds, folder
        self._contestants = contestants
        self._lanes: dict[str, LaneProcess] = {}
        self.result = Result()

    def run(self) -> Result:
        """Start everybody, let them get ready one after another, then do the rounds."""
        with ExitStack() as stack:
            for contestant in self._contestants:
                self._start(contestant, stack)
            for name in list(self._lanes):
                self._try(name, self._get_ready)
            order = random.Random(0)
            for _ in range(self._rounds):
                names = list(self._lanes)
                order.shuffle(names)
                for name in names:
                    self._try(name, self._do_round)
        return self.result

    def _start(self, contestant: Contestant, stack: ExitStack) -> None:
        missing = missing_modules(contestant)
        if missing:
            self.result.left_out[contestant.name] = f"not installed: {', '.join(missing)}"
            return
        task = Task(
            contestant.module,
            contestant.option,
            self._work,
            contestant.form,
            str(self._folder),
            self._seconds,
        )
        self._lanes[contestant.name] = stack.enter_context(
            LaneProcess(task, dict(contestant.environment))
        )

    def _try(self, name: str, action: Any) -> None:
        try:
            action(name)
        except LaneError as error:
            self.result.left_out[name] = str(error)
            self.result.seconds.pop(name, None)  # half a contest is none
            del self._lanes[name]

    def _get_ready(self, name: str) -> None:
        lane = self._lanes[name]
        lane.answer()  # its imports are done; those of all lanes go on at the same time
        lane.order()
        self.result.batches[name] = lane.answer()["batches"]
        lane.settle()

    def _do_round(self, name: str) -> None:
        lane = self._lanes[name]
        begin, before = time.perf_counter(), machine_cpu_seconds() - lane.cpu_seconds()
        lane.order()
        self.result.seconds.setdefault(name, []).append(lane.answer()["seconds"])
        others = machine_cpu_seconds() - lane.cpu_seconds() - before
        elapsed = time.perf_counter() - begin
        self.result.disturbance.setdefault(name, []).append(max(0.0, others / elapsed))
        lane.settle()


def machine_cpu_seconds() -> float:
    """Return the CPU seconds that everybody on this machine has used since it started."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq)


def missing_modules(contestant: Contestant) -> list[str]:
    """Return those modules that a contestant needs and this environment has not got."""
    return [name for name in contestant.needs if not _installed(name)]


def _installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # a parent package is missing
        return False
