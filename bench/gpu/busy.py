"""The same with a training thread that is busy in Python, and so holds the interpreter's lock.

Two amounts of work after each batch: half of the time that fastfeed needs for a batch, which should
cost nothing as the copies go on meanwhile; and one that is longer than a batch takes, where the
step should last as long as the work alone.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import replace

from bench.gpu.busy_work import loops_a_second, work
from bench.gpu.contest import Contest, Results, write_down
from bench.gpu.names import BUSY_WORK, LONG, WITH, WITHOUT, WORK_ALONE, busy, bytes_of
from bench.gpu.record import Record
from bench.gpu.rivals import CUPY_PAGEABLE, CUPY_REGISTERED, STREAM, TORCH
from bench.gpu.settings import Settings

CONTESTANTS = (STREAM, TORCH, CUPY_REGISTERED, CUPY_PAGEABLE)
SHARE = 0.5  # of fastfeed's time a batch
LONG_SECONDS = 0.002
TIMES = 20


def measure(settings: Settings, record: Record) -> None:
    """Find out how much work is half a batch of fastfeed's, then do rounds with and without."""
    settings = replace(settings, seconds=settings.seconds / 2)  # with long work it takes longer
    speed, results = loops_a_second(), Results()
    with Contest(
        busy(WITHOUT), BUSY_WORK, CONTESTANTS, settings.workers, settings, record
    ) as contest:
        contest.round({WITHOUT: 0}, results)
        seconds = SHARE * statistics.median(results[WITHOUT, STREAM.name].seconds)
        results.clear()
        loops = {WITHOUT: 0, WITH: int(seconds * speed), LONG: int(LONG_SECONDS * speed)}
        rates = []
        for _ in range(settings.rounds):
            contest.round(loops, results)
            rates.append(alone(loops[LONG]))
            for kind in loops:
                about = {"loops": loops[kind], "work_seconds": loops[kind] / speed}
                write_down(record, busy(kind), kind, results, bytes_of(BUSY_WORK), **about)
            record(busy(LONG), WORK_ALONE, "batches/s", rates)


def alone(loops: int) -> float:
    """Return how many times a second the work is done with nothing else."""
    begin = time.perf_counter()
    for _ in range(TIMES):
        work(loops)
    return TIMES / (time.perf_counter() - begin)
