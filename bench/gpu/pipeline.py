"""End to end: batches a second from worker processes to the device; the consumer only takes them.

Every contestant has the same source, as many workers and as many batches ahead.
"""

from __future__ import annotations

from math import prod

import numpy as np

from bench.gpu.contest import Contest, Results, write_down
from bench.gpu.record import Record
from bench.gpu.rivals import ALL, FILL, ITEM, TORCH
from bench.gpu.settings import Settings
from bench.rivals import Contestant
from bench.sources import WORKS

TAKE = "take"
WORK_OF_FEW = "uint8"
FEWER = (2, 4)  # workers, besides those of the settings


def group(work: str, workers: int) -> str:
    """Return the name of a contest."""
    return f"{WORKS[work].title}, {workers} workers"


def bytes_of(work: str) -> int:
    """Return the bytes of a batch."""
    return prod(WORKS[work].shape) * np.dtype(WORKS[work].dtype).itemsize


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
    name, results = group(work, workers), Results()
    with Contest(name, work, contestants, workers, settings, record) as contest:
        for _ in range(rounds):
            contest.round({TAKE: 0}, results)
            write_down(record, name, TAKE, results, bytes_of(work), workers=workers)
