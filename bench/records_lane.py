"""Small batches through one build of fastfeed, a round for each line of input.

Which build is imported is up to PYTHONPATH; the answer says which it was.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

import fastfeed
from bench.lane import QUEUE, UNTIMED, timed_epoch
from bench.sources import make


@dataclass(frozen=True)
class Task:
    """How many workers, and how many batches a round."""

    workers: int
    batches: int

    def dumps(self) -> str:
        """Return the task as JSON."""
        return json.dumps(asdict(self))


def main() -> None:
    """Serve on standard input and output."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    task = Task(**json.loads(sys.argv[1]))
    length = task.batches + UNTIMED
    source = make("rows", length, "fill")
    with fastfeed.Loader(source, workers=task.workers, max_queue_size=QUEUE) as loader:
        timed_epoch(loader, length, UNTIMED, 0.0)
        answers.write(json.dumps({"fastfeed": str(Path(fastfeed.__file__).parent)}) + "\n")
        for _ in sys.stdin:
            before = cpu_nanoseconds()
            seconds = timed_epoch(loader, length, UNTIMED, 0.0)
            used = cpu_nanoseconds() - before
            answers.write(json.dumps({"ns": 1e9 * seconds, "cpu_ns": used / length}) + "\n")


def cpu_nanoseconds() -> int:
    """Return how long all threads of this process and those below it have run."""
    total = 0
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        for account in Path(f"/proc/{process.pid}/task").glob("*/schedstat"):
            with suppress(OSError):
                total += int(account.read_text().split()[0])
    return total


if __name__ == "__main__":
    main()
