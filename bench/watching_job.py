"""A running job that is looked at: a loop over a loader; for each line of input it runs for so many
seconds and answers with what a batch took. ``python -m bench.watching_job JOB``.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict, dataclass

import fastfeed
from bench.lane import QUEUE, WORKERS
from bench.sources import make

LENGTH = 1 << 30  # batches an epoch: nobody gets to its end
WARM_UP = 1.0  # seconds


@dataclass(frozen=True)
class Job:
    """What is fed.

    Parameters
    ----------
    name : str
    work : str
        A key of `bench.sources.WORKS`.
    asleep, busy : float
        Seconds that the loop sleeps, and computes, after each batch.
    """

    name: str
    work: str
    asleep: float = 0.0
    busy: float = 0.0

    def dumps(self) -> str:
        """Return the job as JSON."""
        return json.dumps(asdict(self))


def step(job: Job) -> None:
    """Do what the loop does with a batch."""
    if job.asleep:
        time.sleep(job.asleep)
    until = time.perf_counter() + job.busy
    while time.perf_counter() < until:
        pass


def main() -> None:
    """Serve on standard input and output."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    job = Job(**json.loads(sys.argv[1]))
    source = make(job.work, LENGTH, "fill")
    with fastfeed.Loader(source, workers=WORKERS, max_queue_size=QUEUE) as loader:
        batches = iter(loader)

        def run(seconds: float) -> float:
            taken, begin = 0, time.perf_counter()
            while (now := time.perf_counter()) < begin + seconds:
                next(batches)
                taken += 1
                step(job)
            return (now - begin) / taken

        run(WARM_UP)
        answers.write(json.dumps({"ready": True}) + "\n")
        for line in sys.stdin:
            answers.write(json.dumps({"seconds_a_batch": run(float(line))}) + "\n")


if __name__ == "__main__":
    main()
