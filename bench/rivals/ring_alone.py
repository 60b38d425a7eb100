"""The ticket ring with nothing in the slots: what handing over costs by itself."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bench.sources import Source
from fastfeed import _core

ENTRIES = 64


def _work(ring: _core.Ring, worker: int) -> None:
    try:
        while True:
            claim = ring.claim(worker)
            if claim is not None:
                ring.publish(claim, _core.DATA)
    except StopIteration:
        return


def _pass_through(ring: _core.Ring, count: int) -> None:
    posted = taken = 0
    while taken < count:
        while posted < count and ring.post(posted, 0, 0, 0, 0) >= 0:
            posted += 1
        batch = ring.take() or ring.take_wait()
        if batch is not None:
            if batch.index != taken:
                raise AssertionError(f"ticket {batch.index} came where {taken} was due")
            taken += 1


@contextmanager
def opened(
    source: Source, workers: int, queue: int, option: str
) -> Iterator[Callable[[int], float]]:
    """Start worker processes; give a function that passes n tickets, returns seconds a ticket."""
    memory = os.memfd_create("ring-alone")
    os.ftruncate(memory, _core.Ring.bytes_for(ENTRIES, workers))
    ring = _core.Ring.create(_core.Mapping(memory), ENTRIES, workers)
    os.close(memory)
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_work, args=(ring, worker)) for worker in range(workers)]
    for process in processes:
        process.start()

    def passed(count: int) -> float:
        begin = time.perf_counter()
        _pass_through(ring, count)
        return (time.perf_counter() - begin) / count

    try:
        yield passed
    finally:
        ring.stop()
        for process in processes:
            process.join()
