"""``python -m bench.watching``: what looking at a running job costs it.

A job runs on; now and then ``fastfeed top PID`` looks at it, on a terminal, or ``fastfeed trace
PID``. The command is stopped and goes on again by signals, so that its start, in which it imports
its libraries, is in no window. A figure is the time a batch with somebody looking over that of the
windows before and after with nobody.
"""

from __future__ import annotations

import os
import pty
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

import numpy as np
import psutil

from bench.harness import ENVIRONMENT, ROOT, LaneError, LaneProcess
from bench.sheet import Run, Sheet, parser, spread, verdict
from bench.watching_job import Job

MODULE = "bench.watching"
JOB = "bench.watching_job"
JOBS = (
    Job("4.8 MB batches, the loop sleeps 5 ms", "uint8", asleep=0.005),
    Job("2 kB batches, the loop computes 20 us", "rows", busy=20e-6),
)
TOP, TRACE = "fastfeed top", "fastfeed trace"
WINDOW, WINDOWS = 1.2, 9  # seconds; with somebody looking, a run
STARTED = 30.0  # seconds until a look must have begun
SETTLE = 0.3  # seconds after it goes on
LONG = ("--seconds", "3000")  # longer than any run
MOST = 0.01  # the bar
RESAMPLES = 2000
SCREEN = {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"}


@dataclass(frozen=True)
class Case:
    """A job, and who looks at it."""

    name: str
    looker: str


class Looker:
    """A command on a terminal of its own, which looks at a job when it is let; a context manager.

    Parameters
    ----------
    arguments : sequence of str
        Of ``fastfeed``.
    """

    def __init__(self, arguments: Sequence[str]):
        self._screen, theirs = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "fastfeed", *arguments],
            stdin=theirs, stdout=theirs, stderr=theirs, cwd=ROOT,
            env=os.environ | ENVIRONMENT | SCREEN, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        self._began = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Looker:
        if not self._began.wait(STARTED):
            self.__exit__()
            raise LaneError(f"{self._process.args} showed nothing")
        return self

    def __exit__(self, *exception: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join()
        os.close(self._screen)

    def _read(self) -> None:
        """Take what is shown, as a terminal does: the command waits otherwise."""
        with suppress(OSError):  # the command has ended
            while os.read(self._screen, 1 << 16):
                self._began.set()

    @contextmanager
    def let(self) -> Iterator[None]:
        """Let it look, inside the block."""
        os.killpg(self._process.pid, signal.SIGCONT)
        time.sleep(SETTLE)
        yield
        self.stop()

    def stop(self) -> None:
        """Let it do nothing.

        Raises
        ------
        LaneError
            It has ended.
        """
        if self._process.poll() is not None:
            raise LaneError(f"{self._process.args} ended with {self._process.returncode}")
        os.killpg(self._process.pid, signal.SIGSTOP)

    def cpu_seconds(self) -> float:
        """Return what it has used."""
        return sum(psutil.Process(self._process.pid).cpu_times()[:2])


class Watched:
    """One job and its windows.

    Parameters
    ----------
    job : Job
    window : float
        Seconds.
    windows : int
        With somebody looking.
    """

    def __init__(self, job: Job, window: float, windows: int):
        self._job, self._window, self._windows = job, window, windows

    def measure(self, looker: str) -> Run:
        """Let somebody look in every second window; return what a batch took in each."""
        alone, watched = [], []
        with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
            try:
                lane = stack.enter_context(LaneProcess(self._job, {}, JOB))
                lane.answer()
                command = {TOP: ["top"], TRACE: ["trace", "-o", f"{folder}/t.json", *LONG]}[looker]
                look = stack.enter_context(Looker([*command, str(lane.pid)]))
                look.stop()
                used, alone = look.cpu_seconds(), [self._run(lane)]
                for _ in range(self._windows):
                    with look.let():
                        watched.append(self._run(lane))
                    alone.append(self._run(lane))
                used = look.cpu_seconds() - used
            except LaneError as error:
                return {"error": str(error)}
        cores = used / (self._windows * (self._window + SETTLE))
        return {"alone": alone, "watched": watched, "lookers_cores": cores}

    def _run(self, lane: LaneProcess) -> float:
        lane.order(f"{self._window}")
        return float(lane.answer()["seconds_a_batch"])


def slower(runs: Sequence[Run]) -> tuple[float, float, float]:
    """Return how much longer a batch takes with somebody looking, and where it may lie (95 %).

    Each window is compared with the mean of the two around it; the median over all windows, and the
    interval of medians of windows drawn again and again with replacement.
    """
    ratios = [
        watched / statistics.mean(run["alone"][number : number + 2]) - 1
        for run in runs
        for number, watched in enumerate(run["watched"])
    ]
    drawn = np.random.default_rng(0).choice(ratios, (RESAMPLES, len(ratios)))
    low, high = np.percentile(np.median(drawn, axis=1), (2.5, 97.5))
    return statistics.median(ratios), float(low), float(high)


def judged(low: float, high: float) -> str:
    """Return whether the bar is met, by the whole interval."""
    if low < MOST <= high:
        return "not shown: too much noise"
    return verdict(high < MOST)


def lines(sheet: Sheet) -> Iterator[str]:
    """Yield the table."""
    yield (
        "| job | looked at by | us a batch alone | looked at | slower (95 %) | windows "
        "| cores that the look uses | < 1 % |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    for job in JOBS:
        for looker in (TOP, TRACE):
            runs = sheet.of(name=job.name, looker=looker)
            if runs:
                yield _row(job.name, looker, runs)
    yield ""


def _row(job: str, looker: str, runs: Sequence[Run]) -> str:
    more = slower(runs)
    cells = [
        job,
        looker,
        spread([1e6 * one for run in runs for one in run["alone"]], ",.1f"),
        spread([1e6 * one for run in runs for one in run["watched"]], ",.1f"),
        "{:+.2%} ({:+.2%} to {:+.2%})".format(*more),
        str(sum(len(run["watched"]) for run in runs)),
        spread([run["lookers_cores"] for run in runs], ".3f"),
        judged(*more[1:]),
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Measure and write the table."""
    given = parser(MODULE, __doc__, rounds=2).parse_args()
    window, windows = (0.2, 2) if given.quick else (WINDOW, WINDOWS)
    sheet = Sheet("watching", given, MODULE, {"window seconds": window, "windows": windows})
    cases = [Case(job.name, looker) for job in JOBS for looker in (TOP, TRACE)]
    jobs = {job.name: Watched(job, window, windows) for job in JOBS}
    sheet.hold(cases, lambda case: jobs[case.name].measure(case.looker))
    sheet.publish("What looking at a running job costs it", lines(sheet))


if __name__ == "__main__":
    main()
