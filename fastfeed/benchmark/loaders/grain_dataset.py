"""Grain: a MapDataset read by threads, or by worker processes that use shared memory."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import grain
from absl import flags

from fastfeed.benchmark.loaders import Setting


class _Epochs:
    """One endless iterator, cut into epochs: Grain starts its processes anew with each one."""

    def __init__(self, batches: Iterator[Any], length: int):
        self._batches, self._length = batches, length

    def __iter__(self) -> Iterator[Any]:
        return itertools.islice(self._batches, self._length)


@contextmanager
def opened(source: Any, setting: Setting) -> Iterator[Iterable[Any]]:
    """Open an endless dataset with threads or processes, as the option says."""
    if not flags.FLAGS.is_parsed():  # Grain asks for its flags, and no absl.app has read them
        flags.FLAGS.mark_as_parsed()
    here = grain.MapDataset.source(source).repeat()
    if setting.option == "threads":
        dataset = here.to_iter_dataset(grain.ReadOptions(setting.workers, setting.queue))
    else:
        each = max(1, setting.queue // setting.workers // 4)  # its other queues hold the rest
        options = grain.MultiprocessingOptions(setting.workers, per_worker_buffer_size=each)
        dataset = here.to_iter_dataset(grain.ReadOptions(1, 1)).mp_prefetch(options)
    batches = iter(dataset)
    try:
        yield _Epochs(batches, len(source))
    finally:
        batches.close()
