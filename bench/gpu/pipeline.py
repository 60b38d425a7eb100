"""End to end: batches a second from worker processes to the device; the consumer only takes them.

Every contestant has the same source, as many workers and as many batches ahead.
"""

from __future__ import annotations

from bench.gpu.contest import Contest, Results, write_down
from bench.gpu.names import batches_of, bytes_of
from bench.gpu.record import Record
from bench.gpu.rivals import ALL, FILL, ITEM, TORCH
from bench.gpu.settings import Settings
from bench.rivals import Contestant

TAKE = "take"
WORK_OF_FEW = "uint8"
FEWER = (2, 4)  # workers, besides those of the settings


def measure(settings: Settings, record: Record) -> None:
    """Hold a contest for each work, and smaller ones with fewer workers."""
    for work in ("uint8", "float32"):
        hold(work, ALL, settings.workers, settings.rounds, settings, record)
    for workers in FEWER:
        if workers < settings.workers:
            few = max(2, settings.rounds // 2)
            hold(WORK_OF_FEW, (FILL, ITEM, TORCH), workers, few, settings, record)


def hold(
    work: str,
    contestants: tuple[Contestant, ...],
    workers: int,
    rounds: int,
    settings: Settings,
    record: Record,
) -> None:
    """Hold one contest."""
    name, results = batches_of(work, workers), Results()
    with Contest(name, work, contestants, workers, settings, record) as contest:
        for _ in range(rounds):
            contest.round({TAKE: 0}, results)
            write_down(record, name, TAKE, results, bytes_of(work), workers=workers)
