"""The other end of a lane: orders, answers, and what its processes use."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from fastfeed.benchmark.checks import WrongBatches
from fastfeed.errors import FastFeedError

PROGRAM = "fastfeed.cli.bench_lane"
"""Lies in the command line's layer, because it reads MODULE:SOURCE as that does."""
SETTLED = 0.03
"""Seconds without work done by a lane before the next one's turn."""
SETTLE_AT_MOST = 1.0
PEEK = 0.05
"""Seconds between two looks at the memory."""
ENDING = 5.0
"""Seconds that a lane may take to end."""
ENVIRONMENT = {
    "CUDA_VISIBLE_DEVICES": "",  # everything here happens in host memory
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "PYTHONWARNINGS": "ignore",
    "OMP_NUM_THREADS": "1",  # workers are the parallelism, for everybody
    "OPENBLAS_NUM_THREADS": "1",
    "OPENCV_FOR_THREADS_NUM": "1",
}


class LaneError(FastFeedError, RuntimeError):
    """A loader could not do the work; the message says why."""


class LaneEnded(LaneError):
    """Its process ended by itself."""


class OutOfTime(LaneError):
    """It took longer than it may."""


class LaneProcess:
    """A process that is told what to do.

    Parameters
    ----------
    program : {"lane", "look"}
        What it is to run, see `PROGRAM`.
    argument : str
        More of its command line.
    environment : mapping of str to str
        On top of this one's and `ENVIRONMENT`.
    """

    def __init__(self, program: str, argument: str, environment: Mapping[str, str]):
        import psutil

        self._psutil = psutil
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed by __exit__)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", PROGRAM, program, argument],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, **ENVIRONMENT, **environment},
            start_new_session=True,  # Ctrl-C reaches this process alone, which then ends all others
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._orders, self._answers = self._process.stdin, self._process.stdout
        self._tree = psutil.Process(self._process.pid)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._answers, selectors.EVENT_READ)
        self.peak_bytes = 0

    def __enter__(self) -> LaneProcess:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self.end(kindly=kind is None)

    def no_more(self) -> None:
        """Tell the lane that no order will follow: it closes its loader and ends."""
        with suppress(BrokenPipeError):
            self._orders.close()

    def end(self, kindly: bool) -> None:
        """End the lane and all that it started; `kindly` gives it time to do so itself."""
        if self._answers.closed:
            return
        self.no_more()
        if kindly:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(ENDING)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._answers.close()
        self._selector.close()
        self._errors.close()

    def order(self, what: object = "") -> None:
        """Tell the lane to go on; `what` tells it more."""
        with suppress(BrokenPipeError):  # it has ended: the answer says why
            self._orders.write(f"{what}\n".encode())
            self._orders.flush()

    def answer(self, patience: float, look: bool = False) -> dict[str, Any]:
        """Wait for the lane's next line.

        Parameters
        ----------
        patience : float
            Seconds.
        look : bool
            Look at the memory meanwhile. That costs the lane some time.

        Raises
        ------
        OutOfTime
            It said nothing for so long.
        WrongBatches
            The loader delivered other batches than the source has.
        LaneError
            The loader failed, or the process ended.
        """
        until = time.monotonic() + patience
        while not self._selector.select(PEEK if look else max(0.0, until - time.monotonic())):
            if time.monotonic() >= until:
                raise OutOfTime(f"no answer within {patience:.0f} s")
            self._look()
        line = self._answers.readline()
        if not line:
            raise LaneEnded(f"its process ended: {self._last_words()}")
        answer: dict[str, Any] = json.loads(line)
        if "wrong" in answer:
            raise WrongBatches(answer["wrong"])
        if "error" in answer:
            raise LaneError(answer["error"])
        if look:
            self._look()
        return answer

    def settle(self) -> None:
        """Wait until the lane and its workers use no CPU, so that the next one has it all."""
        until = time.monotonic() + SETTLE_AT_MOST
        before, now = -1.0, self.cpu_seconds()
        while now != before and time.monotonic() < until:
            time.sleep(SETTLED)
            before, now = now, self.cpu_seconds()

    def cpu_seconds(self) -> float:
        """Return what the lane and its workers have used, those that have ended too."""
        total = 0.0
        for process in self._processes():
            with suppress(self._psutil.Error, OSError):
                ended = process.cpu_times()
                total += time.clock_gettime(cpu_clock(process.pid))
                total += ended.children_user + ended.children_system  # of those that have ended
        return total

    def _look(self) -> None:
        """Note the proportional set size of all its processes together, if it is the highest."""
        total = 0
        for process in self._processes():
            with suppress(self._psutil.Error):
                total += process.memory_full_info().pss
        self.peak_bytes = max(self.peak_bytes, total)

    def _processes(self) -> Iterator[Any]:
        yield self._tree
        with suppress(self._psutil.Error):
            yield from self._tree.children(recursive=True)

    def _last_words(self) -> str:
        code = self._process.wait(ENDING)
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        ended = f"signal {-code}" if code < 0 else f"exit status {code}"
        return f"{ended}; {lines[-1]}" if lines else ended


def cpu_clock(pid: int) -> int:
    """Return the clock that counts a process's CPU time, in nanoseconds; ``/proc`` counts 10 ms.

    The number is that of Linux's ``MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED)``, which is what
    ``clock_getcpuclockid`` returns; Python has no name for that.
    """
    return (~pid << 3) | 2
