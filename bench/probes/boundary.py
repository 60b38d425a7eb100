"""How long the consumer waits for the first batch of an epoch, and for every other batch."""

from __future__ import annotations

import json
import sys
import time

import numpy as np

import fastfeed
from bench.lane import QUEUE, WORKERS
from bench.sources import make

LENGTH = 24  # batches an epoch


def waits(loader: fastfeed.Loader, epochs: int, step: float) -> tuple[list[float], list[float]]:
    """Return the seconds waited at epoch boundaries and within epochs."""
    first: list[float] = []
    other: list[float] = []
    begin = time.perf_counter()  # runs on over the end of an epoch: ending it is part of the wait
    for _ in range(epochs):
        kept = first
        for batch in loader:
            kept.append(time.perf_counter() - begin)
            del batch
            if step:
                time.sleep(step)
            kept = other
            begin = time.perf_counter()
    return first, other


def main(work: str, epochs: int, step: float) -> None:
    """Take many short epochs and compare the slowest hundredths."""
    source = make(work, LENGTH, "fill")
    with fastfeed.Loader(source, workers=WORKERS, max_queue_size=QUEUE) as loader:
        waits(loader, 10, step)
        first, other = waits(loader, epochs, step)
    if len(first) != epochs or len(other) != epochs * (LENGTH - 1):
        sys.exit(f"{len(first)} + {len(other)} batches came in {epochs} epochs of {LENGTH}")
    answer = {"epochs": epochs}
    for name, seconds in (("boundary", first), ("other", other)):
        answer[name] = {f"p{q}": float(np.percentile(seconds, q)) for q in (50, 99)}
    print(json.dumps(answer))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
