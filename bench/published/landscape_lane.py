"""One library in a process of its own, which reads the data set as each line of input says.

``python -m bench.published.landscape_lane '{"reader": ..., "folder": ...}'``; a line is
``{"batch": n, "workers": n}``, the answer the arrival times of two passes.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from bench.published.landscape_data import LIBRARIES, SIDE


@dataclass(frozen=True)
class Task:
    """What a lane is to read with."""

    reader: str
    folder: str

    def dumps(self) -> str:
        """Return the task as JSON."""
        return json.dumps(asdict(self))


def read(task: Task, batch: int, workers: int) -> dict[str, list[float]]:
    """Read the set twice; return when each batch arrived, in seconds from the very beginning."""
    opened, _ = LIBRARIES[task.reader]
    passes: list[list[float]] = []
    begin = time.perf_counter()
    with opened(task.folder, batch, workers) as loader:
        for _ in range(2):
            arrivals, samples = [], 0
            for images, labels in loader:
                arrivals.append(time.perf_counter() - begin)
                samples += _check(images, labels)
                del images, labels  # they may be a lease
            arrivals.append(time.perf_counter() - begin)  # the end of the pass
            passes.append(arrivals)
    return {"first": passes[0], "second": passes[1], "images": samples}


def _check(images: Any, labels: Any) -> int:
    """Return the samples of a batch; AssertionError unless it looks like one."""
    if sorted(images.shape[1:]) != [3, SIDE, SIDE] or len(labels) != len(images):
        raise AssertionError(f"a batch is {images.shape} with {len(labels)} labels")
    return len(images)


def serve(task: Task, say: Callable[[dict[str, Any]], None]) -> None:
    """Import the library, then read the set for each line."""
    __import__(LIBRARIES[task.reader][1])
    say({"imported": True})
    for line in sys.stdin:
        say(read(task, **json.loads(line)))


def main() -> None:
    """Serve on standard input and output; what libraries print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def say(answer: dict[str, Any]) -> None:
        answers.write(json.dumps(answer) + "\n")

    try:
        serve(Task(**json.loads(sys.argv[1])), say)
    except Exception as error:
        say({"error": f"{type(error).__name__}: {error}"})
        raise


if __name__ == "__main__":
    main()
