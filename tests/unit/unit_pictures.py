"""Pictures as ``fastfeed top`` makes them, with values chosen to be told apart."""

from __future__ import annotations

from typing import Any

from fastfeed.top.model import Loader, Worker
from fastfeed.top.watch import Picture

MIB = 1 << 20
VERDICT = "input-bound 38 %: workers 30 %, order 6 %, upload 2 %; 5 workers would do"


def worker(number: int, state: str = "making", **changes: Any) -> Worker:
    """A worker process that makes item 1200 + `number`, or does something else."""
    is_making = state == "making"
    values: dict[str, Any] = {
        "worker": number,
        "pid": 4000 + number,
        "state": state,
        "index": 1200 + number if is_making else None,
        "epoch": 2 if is_making else None,
        "making_seconds": 0.083 if is_making else None,
        "busy_ratio": 0.97,
        "batches_per_second": 7.8,
        "batches": 300,
        "rss_bytes": 900 * MIB,
        "private_bytes": 210 * MIB,
        "grows_bytes_per_second": 0.0,
    }
    return Worker(**values | changes)


def loader(**changes: Any) -> Loader:
    """A loader whose loop waits for 38 % of the time."""
    values: dict[str, Any] = {
        "name": "Sequence Photos",
        "running_seconds": 243.0,
        "window_seconds": 10.0,
        "batches": 4000,
        "epoch": 2,
        "first_batch_seconds": 1.2,
        "batches_per_second": 31.0,
        "bytes_per_second": 149e6,
        "waiting_ratio": 0.38,
        "production_ratio": 0.30,
        "order_ratio": 0.06,
        "upload_ratio": 0.02,
        "waiting_seconds": None,
        "step_seconds": 0.0231,
        "make_seconds": 0.11,
        "ready": 4,
        "outstanding": 8,
        "ahead": 10,
        "replaced": 0,
        "workers": [worker(0), worker(1, "idle")],
        "verdict": VERDICT,
    }
    return Loader(**values | changes)


def picture(*loaders: Loader, **changes: Any) -> Picture:
    """A picture of a job with these loaders."""
    values: dict[str, Any] = {
        "time": 1.7e9,
        "pid": 12345,
        "command": "python train.py",
        "rss_bytes": 3 << 30,
        "loaders": list(loaders),
    }
    return Picture(**values | changes)
