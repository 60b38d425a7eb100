"""One way of reading the far store, in a process of its own: ``... CELL`` prints JSON."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import psutil

from bench.published.latency_store import (
    BATCH,
    FETCHERS,
    WORKERS,
    Asyncio,
    Store,
    Threaded,
    ThreadedBatches,
)

TORCH_AHEAD = 4  # batches a worker, as published
OF_TORCH = {"torch": Store, "torch, asyncio": Asyncio, "torch, threads": Threaded}
PROCESSES = "fastfeed"
THREADS = f"fastfeed, {WORKERS * FETCHERS} threads"
FILLED = "fastfeed, fill with threads"
WAYS = (*OF_TORCH, PROCESSES, THREADS, FILLED)


@dataclass(frozen=True)
class Cell:
    """What to run; travels as JSON on the command line.

    Parameters
    ----------
    name : str
        One of `WAYS`.
    batches : int
        Read in all.
    speed : float
        See `Store`.
    """

    name: str
    batches: int
    speed: float

    def dumps(self) -> str:
        """Return the cell as JSON."""
        return json.dumps(asdict(self))


@contextmanager
def opened(cell: Cell) -> Iterator[Any]:
    """Open a way."""
    length = cell.batches * BATCH
    if cell.name in OF_TORCH:
        from torch.utils.data import DataLoader

        data = OF_TORCH[cell.name](length, cell.speed)
        yield DataLoader(data, BATCH, num_workers=WORKERS, prefetch_factor=TORCH_AHEAD)
        return
    import fastfeed

    source, options = {
        PROCESSES: (Store, {"batch_size": BATCH, "workers": WORKERS}),
        THREADS: (Store, {"batch_size": BATCH, "workers": WORKERS * FETCHERS}),
        FILLED: (ThreadedBatches, {"workers": WORKERS}),
    }[cell.name]
    ahead = max(TORCH_AHEAD * WORKERS, options["workers"] + WORKERS)
    with fastfeed.Loader(
        source(length, cell.speed),
        max_queue_size=ahead,
        use_multiprocessing=cell.name != THREADS,
        **options,
    ) as loader:
        yield loader


def cpu_seconds() -> float:
    """Return what this process and all below it have used, those that have ended too."""
    everybody = [psutil.Process(), *psutil.Process().children(recursive=True)]
    return sum(sum(process.cpu_times()[:4]) for process in everybody)


def run(cell: Cell) -> dict[str, Any]:
    """Read all batches, check and drop them."""
    if cell.name in OF_TORCH:
        import torch.utils.data  # noqa: F401 (before the clock)
    arrivals, before, begin = [], cpu_seconds(), time.perf_counter()
    with opened(cell) as batches:
        for number, batch in enumerate(batches):
            arrivals.append(time.perf_counter() - begin)
            expected = np.arange(number * BATCH, (number + 1) * BATCH) % 251
            if not np.array_equal(np.asarray(batch)[:, 0, 0, 0], expected):
                raise AssertionError(f"batch {number} holds other images")
            del batch
        used = cpu_seconds() - before
    if len(arrivals) != cell.batches:
        raise AssertionError(f"{len(arrivals)} of {cell.batches} batches came")
    return {
        "images_per_second": cell.batches * BATCH / arrivals[-1],
        "first_batch_seconds": arrivals[0],
        "cpu_seconds": used,
    }


if __name__ == "__main__":
    print(json.dumps(run(Cell(**json.loads(sys.argv[1])))))
