"""The upper bound: processes that copy the same bytes into warm shared memory, with no queue.

As many processes as the loaders have workers, as many slots as the queue is long, the same source
arrays. Nothing is handed over and nobody waits for anybody, so no loader that copies each batch
once, through all of its slots in turn, can be faster.
"""

from __future__ import annotations

import mmap
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

import numpy as np

from bench.sources import Prepared

PAGE = 4096


class NumpySlots:
    """Shared slots written with ``np.copyto``, as a source's ``fill`` would.

    Parameters
    ----------
    memory : int
        Descriptor of a memfd.
    like : numpy.ndarray
        What goes into a slot.
    stride : int
        Bytes from one slot to the next.
    """

    def __init__(self, memory: int, like: np.ndarray, stride: int):
        segment = mmap.mmap(memory, 0)
        starts = range(0, len(segment), stride)
        self._slots = [np.ndarray(like.shape, like.dtype, segment, start) for start in starts]

    def write(self, slot: int, array: np.ndarray) -> None:
        """Copy `array` into slot number `slot`."""
        np.copyto(self._slots[slot], array)


class StreamSlots:
    """Shared slots written with fastfeed's own copy, as for a source with ``__getitem__``."""

    def __init__(self, memory: int, like: np.ndarray, stride: int):
        from fastfeed import _core  # here: the limit with np.copyto needs no fastfeed

        self._segment, self._stride = _core.Mapping(memory), stride

    def write(self, slot: int, array: np.ndarray) -> None:
        """Copy `array` into slot number `slot`."""
        self._segment.copy_in(slot * self._stride, array)


SLOTS = {"numpy": NumpySlots, "stream": StreamSlots}


def _work(
    pipe: Connection,
    write: Callable[[int, np.ndarray], None],
    batches: list[np.ndarray],
    slots: range,
) -> None:
    while (count := pipe.recv()) is not None:
        begin = time.perf_counter()
        for turn in range(count):
            index = slots.start + turn * slots.step
            write(slots[turn % len(slots)], batches[index % len(batches)])
        pipe.send((begin, time.perf_counter()))


@contextmanager
def opened(
    source: Prepared, workers: int, queue: int, option: str
) -> Iterator[Callable[[int], float]]:
    """Start the processes; give a function that copies n batches and returns seconds a batch."""
    stride = -(-source.batches[0].nbytes // PAGE) * PAGE
    memory = os.memfd_create("copy-limit")
    os.ftruncate(memory, stride * queue)
    write = SLOTS[option](memory, source.batches[0], stride).write
    os.close(memory)
    context = multiprocessing.get_context("fork")
    pipes, processes = [], []
    for worker in range(workers):
        ours, theirs = context.Pipe()
        arguments = (theirs, write, source.batches, range(worker, queue, workers))
        processes.append(context.Process(target=_work, args=arguments, daemon=True))
        pipes.append(ours)
        processes[-1].start()

    def copied(batches: int) -> float:
        each = -(-batches // workers)
        for pipe in pipes:
            pipe.send(each)
        begins, ends = zip(*(pipe.recv() for pipe in pipes), strict=True)
        return (max(ends) - min(begins)) / (each * workers)

    try:
        copied(queue)  # the first touch of a page costs many copies of it
        yield copied
    finally:
        for process in processes:
            process.terminate()
            process.join()
