"""Keras 3's PyDataset, iterated by Keras's own adapter, without a model.

The adapter's NumPy iterator is the cheapest of those that ``fit`` uses: it gives batches as they
leave the enqueuer. Keras makes its pool anew each epoch; that falls into the batches that are not
timed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter

from fastfeed.benchmark.loaders import Setting


class Dataset(keras.utils.PyDataset):  # type: ignore[misc]
    """The source as a PyDataset. Public, so that workers that are not forked can unpickle it."""

    def __init__(self, source: Any, **options: Any):
        super().__init__(**options)
        self._source = source

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> tuple[Any]:
        return (self._source[index],)


class _Epochs:
    def __init__(self, dataset: Dataset):
        self._adapter = PyDatasetAdapter(dataset)

    def __iter__(self) -> Iterator[Any]:
        self._adapter.on_epoch_begin()
        for (batch,) in self._adapter.get_numpy_iterator():
            yield batch
        self._adapter.on_epoch_end()


@contextmanager
def opened(source: Any, setting: Setting) -> Iterator[Iterable[Any]]:
    """Open the adapter with threads or processes, as the option says."""
    yield _Epochs(
        Dataset(
            source,
            workers=setting.workers,
            use_multiprocessing=setting.option == "processes",
            max_queue_size=setting.queue,
        )
    )
