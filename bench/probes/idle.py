"""CPU that a loader uses while its queue is full and nobody takes a batch."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import psutil

import fastfeed
from bench.lane import QUEUE, WORKERS
from bench.sources import make

SETTLE = 1.0  # seconds until the queue is certainly full and start-up over


def cpu_seconds(pids: list[int]) -> float:
    """Return the seconds that all threads of these processes have run, from the scheduler."""
    nanoseconds = 0
    for pid in pids:
        for account in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            nanoseconds += int(account.read_text().split()[0])
    return nanoseconds / 1e9


def main(seconds: float) -> None:
    """Take one batch, hold it, and watch the loader wait."""
    source = make("uint8", 1000, "fill")
    with fastfeed.Loader(source, workers=WORKERS, max_queue_size=QUEUE) as loader:
        batches = iter(loader)
        held = next(batches)
        time.sleep(SETTLE)
        pids = [process.pid for process in psutil.Process().children(recursive=True)]
        pids.append(psutil.Process().pid)
        begin, before = time.perf_counter(), cpu_seconds(pids)
        time.sleep(seconds)
        used, elapsed = cpu_seconds(pids) - before, time.perf_counter() - begin
        ready = loader.stats().ready
        del held
    print(json.dumps({"share": used / elapsed, "processes": len(pids), "ready": ready}))


if __name__ == "__main__":
    main(float(sys.argv[1]))
