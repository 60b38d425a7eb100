"""SPDL: a pipeline of threads, here or in one subprocess that sends batches through its arena."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from spdl.pipeline import PipelineBuilder, SharedMemoryRingBuffer, run_pipeline_in_subprocess

from fastfeed.benchmark.checks import leaves
from fastfeed.benchmark.loaders import Setting


class Item:
    """Asks the source for an item. Public, so that the subprocess can unpickle it."""

    def __init__(self, source: Any):
        self._source = source

    def __call__(self, index: int) -> Any:
        """Return batch `index`."""
        return self._source[index]


class _Epochs:
    def __init__(self, pipeline: Any):
        self._pipeline = pipeline

    def __iter__(self) -> Iterator[Any]:
        return iter(self._pipeline.get_iterator())


@contextmanager
def opened(source: Any, setting: Setting) -> Iterator[Iterable[Any]]:
    """Open a pipeline that stays alive over the epochs; in order, and it stops at an error."""
    builder: Any = PipelineBuilder()
    builder.add_source(range(len(source)), continuous=True)
    builder.pipe(Item(source), concurrency=setting.workers, output_order="input")
    if setting.option == "subprocess":
        half = max(1, setting.queue // 2)  # as many wait there as here
        builder.add_sink(half)
        nbytes = sum(leaf.nbytes for leaf in leaves(source[0]))
        yield run_pipeline_in_subprocess(
            builder,
            num_threads=setting.workers,
            max_failures=0,
            buffer_size=half,
            arena=SharedMemoryRingBuffer((half + 2) * (nbytes + 4096)),
        )
        return
    builder.add_sink(max(1, setting.queue - 2 * setting.workers))  # its other queues hold the rest
    pipeline = builder.build(num_threads=setting.workers, max_failures=0)
    with pipeline.auto_stop():
        yield _Epochs(pipeline)
