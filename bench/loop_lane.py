"""A training loop over a shape of work, with the workers and the queue of each line of input.

``python -m bench.loop_lane SHAPE``; a line is ``{"workers": n, "ahead": n, "seconds": s}``.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

import fastfeed
from bench.shapes import Shape, Work
from fastfeed.monitor.sizing import look_ahead, predicted_stall
from fastfeed.monitor.summary import summarise

WARM_UP = 0.4  # seconds, and two queues full: until all workers have started and queues are even


@dataclass(frozen=True)
class Task:
    """A shape, in the form that `LaneProcess` wants."""

    shape: Shape

    def dumps(self) -> str:
        """Return the shape as JSON."""
        return json.dumps(asdict(self.shape))


def loop(shape: Shape, workers: int, ahead: int, seconds: float) -> dict[str, Any]:
    """Run the loop for some seconds; return what was measured, and foretold from the same times."""
    step, taken = shape.step, 0
    with fastfeed.Loader(Work(shape), workers=workers, max_queue_size=ahead) as loader:
        batches = iter(loader)
        until = time.perf_counter() + WARM_UP
        while time.perf_counter() < until or taken < 2 * ahead:
            taken = _one_step(batches, step, taken)
        first, begin = taken, time.perf_counter()
        while (now := time.perf_counter()) < begin + seconds:
            taken = _one_step(batches, step, taken)
        records = loader._view().records()[first - taken :]
    seen = summarise(records)
    made, step = seen.make_seconds, seen.step_mean_seconds
    return {
        "seconds_a_step": (now - begin) / (taken - first),
        "steps": taken - first,
        "stall": seen.wait_ratio,
        "order_wait": seen.order_ratio,
        "predicted_stall": predicted_stall(made, step, workers, ahead) if workers else None,
        "look_ahead": look_ahead(made, step, workers) if workers else None,
        "make_mean": seen.make_mean_seconds,
        "step_mean": step,
    }


def _one_step(batches: Any, step: float, taken: int) -> int:
    """Take a batch and sleep; return how many were taken. Raise AssertionError at a wrong one."""
    batch = next(batches)
    if batch[0] != taken:
        raise AssertionError(f"batch {batch[0]} came where {taken} was due")
    time.sleep(step)
    return taken + 1


def main() -> None:
    """Serve on standard input and output."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    shape = Shape(**json.loads(sys.argv[1]))
    answers.write(json.dumps({"imported": True}) + "\n")
    for line in sys.stdin:
        try:
            answer = loop(shape, **json.loads(line))
        except fastfeed.FastFeedError as error:
            answer = {"failed": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
