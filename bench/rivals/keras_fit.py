"""Keras's ``fit``, fed in several ways: seconds a step, everything included.

There is nothing to iterate here: Keras itself takes the batches. So what is opened trains for one
epoch when it is called, and reads the clock from a callback. ``KERAS_BACKEND`` says what Keras runs
on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

import fastfeed
from bench.labelled import Labelled, LabelledFill
from bench.sources import Source


class Dataset(keras.utils.PyDataset):
    """The same in Keras's own way."""

    def __init__(self, data: Labelled, **options: Any):
        super().__init__(**options)
        self._data = data

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return self._data[index]


class Clock(keras.callbacks.Callback):
    """Seconds from the end of step number `untimed` to the end of the epoch."""

    async_safe = True  # Keras goes on calling callbacks as it does without this one

    def __init__(self, untimed: int):
        super().__init__()
        self._untimed = untimed
        self._begin = 0.0
        self.seconds = 0.0
        self.steps: set[int] = set()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.steps.add(batch)
        if batch == self._untimed - 1:
            self._begin = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seconds = time.perf_counter() - self._begin


def small_model() -> Any:
    """16-Dense8-Dense1: what a step takes is Keras's own doing."""
    layers = [keras.Input((16,)), keras.layers.Dense(8), keras.layers.Dense(1)]
    return _compiled(keras.Sequential(layers))


def picture_model() -> Any:
    """Look at a corner of each picture only: what a step takes is the way of the batch."""
    layers = [
        keras.Input((224, 224, 3), dtype="uint8"),
        keras.layers.Cropping2D(((0, 216), (0, 216))),
        keras.layers.Rescaling(1 / 255),
        keras.layers.Flatten(),
        keras.layers.Dense(1),
    ]
    return _compiled(keras.Sequential(layers))


def _compiled(model: Any) -> Any:
    model.compile("adam", "mse")
    return model


@contextmanager
def opened(source: Source, workers: int, queue: int, option: str) -> Iterator[Any]:
    """Give a function that trains for an epoch of `source` and returns the seconds a step."""
    data = (LabelledFill if hasattr(source, "fill") else Labelled)(source)
    model = small_model() if len(source.shape) == 2 else picture_model()
    fit = WAYS[option](data, workers, queue)

    def epoch(timed: int) -> float:
        clock = Clock(len(data) - timed)
        fit(model, clock)
        if clock.steps != set(range(len(data))):
            raise AssertionError(f"an epoch of {len(data)} steps had {len(clock.steps)}")
        return clock.seconds / timed

    yield epoch


Way = Callable[[Labelled, int, int], Callable[[Any, Clock], Any]]


def _arrays(data: Labelled, workers: int, queue: int) -> Callable[[Any, Clock], Any]:
    x, y = data.arrays()
    rows = len(data.labels)
    return lambda model, clock: model.fit(
        x, y, batch_size=rows, shuffle=False, verbose=0, callbacks=[clock]
    )


def _pydataset(**options: Any) -> Way:
    def way(data: Labelled, workers: int, queue: int) -> Callable[[Any, Clock], Any]:
        ahead = {"workers": workers, "max_queue_size": queue} if options else {}
        dataset = Dataset(data, **ahead, **options)
        return lambda model, clock: model.fit(dataset, shuffle=False, verbose=0, callbacks=[clock])

    return way


def _fastfeed(data: Labelled, workers: int, queue: int) -> Callable[[Any, Clock], Any]:
    return lambda model, clock: fastfeed.fit_generator(
        model, data, shuffle=False, verbose=0, callbacks=[clock], workers=workers,
        use_multiprocessing=True, max_queue_size=queue,
    )  # fmt: skip


def _fastfeed_arrays(data: Labelled, workers: int, queue: int) -> Callable[[Any, Clock], Any]:
    arrays, rows = data.arrays(), len(data.labels)
    return lambda model, clock: fastfeed.fit_generator(
        model, arrays, batch_size=rows, shuffle=False, verbose=0, callbacks=[clock],
        max_queue_size=queue,
    )  # fmt: skip


WAYS: dict[str, Way] = {
    "arrays": _arrays,
    "pydataset": _pydataset(),
    "pydataset threads": _pydataset(use_multiprocessing=False),
    "pydataset processes": _pydataset(use_multiprocessing=True),
    "fastfeed": _fastfeed,
    "fastfeed arrays": _fastfeed_arrays,
}
