"""A training loop with ``workers="auto", max_queue_size="auto"`` over work that may change.

``python -m bench.live_lane COURSE``; each line of input makes the loop run for so many seconds, and
is answered with what it waited in them. After the last one the history is part of the answer.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

import fastfeed
from bench.shapes import LENGTH, Shape, Work


@dataclass(frozen=True)
class Course:
    """One shape of work, and another from batch `changes_at` on.

    Parameters
    ----------
    begin, end : Shape
    changes_at : int
    """

    begin: Shape
    end: Shape
    changes_at: int

    def dumps(self) -> str:
        """Return it as JSON, for `LaneProcess`."""
        return json.dumps(asdict(self))

    @staticmethod
    def loads(text: str) -> Course:
        """Return what `dumps` has written."""
        found = json.loads(text)
        return Course(Shape(**found["begin"]), Shape(**found["end"]), found["changes_at"])


class ChangingWork:
    """A source of batches of the one shape, then of the other."""

    def __init__(self, course: Course):
        self.begin, self.end = Work(course.begin), Work(course.end)
        self.changes_at = course.changes_at

    def __len__(self) -> int:
        return LENGTH

    def __getitem__(self, index: int) -> np.ndarray:
        return (self.begin if index < self.changes_at else self.end)[index]


def stretch(batches: Iterator[Any], step: float, taken: int, seconds: float) -> int:
    """Run the loop for some seconds; return how many batches were taken in all."""
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        batch = next(batches)
        if batch[0] != taken:
            raise AssertionError(f"batch {batch[0]} came where {taken} was due")
        taken += 1
        time.sleep(step)
    return taken


def main() -> None:
    """Serve on standard input and output."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    course, taken = Course.loads(sys.argv[1]), 0
    answers.write(json.dumps({"imported": True}) + "\n")
    source = ChangingWork(course)
    with fastfeed.Loader(source, workers="auto", max_queue_size="auto") as loader:
        batches = iter(loader)
        for line in sys.stdin:
            before = loader.stats()
            taken = stretch(batches, course.end.step, taken, float(line))
            after = loader.stats()
            waited = after.wait_seconds - before.wait_seconds
            stepped = after.step_seconds - before.step_seconds
            tuned = loader.autotune
            answer = {
                "stall": waited / (waited + stepped),
                "steps": taken,
                "workers": tuned.workers,
                "ahead": tuned.ahead,
                "changes": sum(entry.is_change for entry in tuned.history),
                "history": [str(entry) for entry in tuned.history],
            }
            answers.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
