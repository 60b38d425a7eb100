"""Records as a loader's journal has them, from a simulation whose answer is known."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np

from fastfeed.monitor.journal import RECORD, Records

START_NS = 10**15  # a machine that has been up for eleven days
MS = 1_000_000


def simulated(
    make_ms: Sequence[float],
    step_ms: float,
    workers: int,
    ahead: int,
    *,
    upload_ms: float = 0.0,
    epochs: int = 1,
    between_ms: float = 0.0,
) -> Records:
    """An ordered loader: the first free worker takes the next ticket; one more is posted whenever
    a batch was handed out. The consumer takes `step_ms` for each, and `between_ms` after a pass.
    """
    times = np.tile(np.asarray(make_ms, np.float64), epochs)
    records = np.zeros(times.size, RECORD)
    free = [(0.0, worker) for worker in range(workers)]
    posted_at = np.zeros(times.size + ahead)
    ready, copied, now = np.zeros(times.size), 0.0, 0.0
    for ticket, record in enumerate(records):
        begin, worker = heapq.heappop(free)
        begin = max(begin, posted_at[ticket])
        ready[ticket] = begin + times[ticket]
        heapq.heappush(free, (ready[ticket], worker))
        record["sequence"], record["worker"], record["bytes"] = ticket, worker, 4096
        record["epoch"], record["index"] = divmod(ticket, len(make_ms))
        _put(record, posted_ns=posted_at[ticket], started_ns=begin, made_ns=ready[ticket])
        record["work_ns"] = record["made_ns"] - record["started_ns"]
        arrived = ready[ticket]
        if upload_ms:
            issued = max(copied, arrived)
            arrived = copied = issued + upload_ms
            _put(record, upload_ns=issued, uploaded_ns=copied)
        asked = now
        if ticket:
            asked += step_ms if ticket % len(make_ms) else between_ms
        now = max(asked, arrived)
        _put(record, asked_ns=asked, answered_ns=now)
        record["upload_wait_ns"] = MS * max(0.0, now - max(asked, ready[ticket]))
        posted_at[ticket + ahead] = now
    _add_order_waits(records)
    return records


def _put(record: np.void, **times_ms: float) -> None:
    for name, time in times_ms.items():
        record[name] = START_NS + round(time * MS)


def _add_order_waits(records: Records) -> None:
    """A wait is for the order from the time that a later batch was finished."""
    made = records["made_ns"].astype(np.int64)
    for place, record in enumerate(records):
        later = made[place + 1 : place + 200]
        if later.size:
            begin = max(int(record["asked_ns"]), int(later.min()))
            record["order_wait_ns"] = max(0, min(made[place], int(record["answered_ns"])) - begin)


def times(number: int, mean: float, variation: float, seed: int = 0) -> np.ndarray:
    """Log-normal times: their mean, and their standard deviation as a share of it."""
    width = np.sqrt(np.log(1 + variation**2))
    middle = np.log(mean) - width**2 / 2
    return np.random.default_rng(seed).lognormal(middle, width, number)
