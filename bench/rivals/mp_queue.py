"""What one writes by hand: worker processes that send pickled batches through a Queue."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.queues import Queue

import numpy as np

from bench.sources import Source


def _work(source: Source, indices: Queue, batches: Queue) -> None:
    for index in iter(indices.get, None):
        batches.put((index, source[index]))


class _Epochs:
    def __init__(self, source: Source, indices: Queue, batches: Queue):
        self._source, self._indices, self._batches = source, indices, batches

    def __iter__(self) -> Iterator[np.ndarray]:
        for index in range(len(self._source)):
            self._indices.put(index)
        early: dict[int, np.ndarray] = {}
        for wanted in range(len(self._source)):
            while wanted not in early:
                index, batch = self._batches.get()
                early[index] = batch
            yield early.pop(wanted)


@contextmanager
def opened(source: Source, workers: int, queue: int, option: str) -> Iterator[_Epochs]:
    """Start `workers` processes that serve every epoch; at most `queue` batches wait."""
    context = multiprocessing.get_context("fork")
    indices, batches = context.Queue(), context.Queue(maxsize=queue)
    processes = [
        context.Process(target=_work, args=(source, indices, batches), daemon=True)
        for _ in range(workers)
    ]
    for process in processes:
        process.start()
    try:
        yield _Epochs(source, indices, batches)
    finally:
        for process in processes:
            process.terminate()
            process.join()
