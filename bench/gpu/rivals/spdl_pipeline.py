"""SPDL: a stage in worker processes, then `spdl.io.transfer_tensor_h2d` in a thread of its own.

As its documentation advises for processes: torch tensors travel through torch's shared memory, and
the transfer stage page-locks and copies on a stream of its own. The executors live as long as the
lane; a pipeline serves one epoch.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch
import torch.multiprocessing  # tensors between processes: by shared memory
from spdl.io import transfer_tensor_h2d
from spdl.pipeline import PipelineBuilder

from bench.gpu.lane import QUEUE, Task
from bench.sources import Source

of_worker: Source


def receive(source: Source) -> None:
    """Keep the source, in a worker."""
    global of_worker
    of_worker = source


def load(index: int) -> torch.Tensor:
    """Make a batch, in a worker."""
    return torch.from_numpy(of_worker[index])


class Epochs:
    """A new pipeline for each epoch, over the same workers."""

    def __init__(self, length: int, task: Task, workers: Any, transfer: Any):
        self._length, self._task = length, task
        self._workers, self._transfer = workers, transfer

    def __iter__(self) -> Iterator[torch.Tensor]:
        builder = PipelineBuilder().add_source(range(self._length))
        builder.pipe(
            load, executor=self._workers, concurrency=self._task.workers, output_order="input"
        )
        if self._task.device == "cuda":
            builder.pipe(transfer_tensor_h2d, executor=self._transfer, output_order="input")
        pipeline = builder.add_sink(QUEUE).build(num_threads=1, max_failures=0)
        with pipeline.auto_stop():
            yield from pipeline.get_iterator(timeout=60)


@contextmanager
def opened(source: Source, task: Task) -> Iterator[Epochs]:
    """Start the workers (forked, as torch's are: before this process uses the device)."""
    context = multiprocessing.get_context("fork")
    with (
        ProcessPoolExecutor(task.workers, context, receive, (source,)) as workers,
        ThreadPoolExecutor(1) as transfer,
    ):
        yield Epochs(len(source), task, workers, transfer)
