"""Keras 3's PyDataset, iterated by Keras's own adapter, without a model.

The numpy iterator of the adapter is the cheapest of those that ``fit`` uses: it gives the batches
as they leave the enqueuer. The pool is made anew each epoch; that is how Keras does it, and it
falls into the batches that are not timed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

# The enqueuer is the same for all backends; this one starts no threads before the fork.
os.environ["KERAS_BACKEND"] = "numpy"

import keras
import numpy as np
from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter

from bench.sources import Source


class _Dataset(keras.utils.PyDataset):
    def __init__(self, source: Source, **options: int):
        super().__init__(**options)
        self._source = source

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> tuple[np.ndarray]:
        return (self._source[index],)


class _Epochs:
    def __init__(self, dataset: _Dataset):
        self._adapter = PyDatasetAdapter(dataset)

    def __iter__(self) -> Iterator[np.ndarray]:
        self._adapter.on_epoch_begin()
        for (batch,) in self._adapter.get_numpy_iterator():
            yield batch
        self._adapter.on_epoch_end()


@contextmanager
def opened(source: Source, workers: int, queue: int, option: str) -> Iterator[_Epochs]:
    """Open the adapter with threads or processes, as `option` says."""
    processes = {"threads": False, "processes": True}[option]
    yield _Epochs(
        _Dataset(source, workers=workers, use_multiprocessing=processes, max_queue_size=queue)
    )
