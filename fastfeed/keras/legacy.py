"""Models of ``tf_keras``, the Keras 2 that lives on beside Keras 3.

They have no door for data adapters, so they read a real ``tf.data.Dataset``. Steps, epochs and
distribution strategies ``tf_keras`` then does by itself. It would do ``class_weight`` too, but
fails where a batch has a sample_weight of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from fastfeed.devices.dataset import dataset
from fastfeed.errors import ArgumentError
from fastfeed.keras.epochs import Epochs
from fastfeed.keras.wait import NAME
from fastfeed.keras.weights import ClassWeights
from fastfeed.loader import Loader


def is_model(model: Any) -> bool:
    """Tell whether this is a model of ``tf_keras``, without importing that."""
    return any(cls.__module__.partition(".")[0] == "tf_keras" for cls in type(model).__mro__)


def callback_class() -> Any:
    """Return the base class of ``tf_keras``'s callbacks."""
    import tf_keras

    return tf_keras.callbacks.Callback


def with_progress_bar(callbacks: list[Any]) -> list[Any]:
    """Add a progress bar that shows ``data_wait`` as it is, unless the user has one of his own.

    That of ``tf_keras`` shows the mean of all steps' values of what is no metric of the model.
    """
    from tf_keras.callbacks import ProgbarLogger

    if any(isinstance(callback, ProgbarLogger) for callback in callbacks):
        return callbacks
    return [*callbacks, ProgbarLogger("steps", stateful_metrics=[NAME])]


@contextmanager
def reading(
    loader: Loader, class_weight: Mapping[int, float] | None
) -> Iterator[tuple[Any, Epochs]]:
    """Give a data set that reads a loader, and its epochs; at the end the pass is closed.

    Raises
    ------
    ArgumentError
        The loader hands out a framework's tensors, or `class_weight` is no map of numbers.
    Exception
        What the source raised: TensorFlow has only its text in an error of its own.
    """
    if loader.framework != "numpy":
        raise ArgumentError(
            "A tf_keras model reads a tf.data.Dataset, which makes the tensors itself: make the "
            "Loader without framework.",
            f'framework="{loader.framework}"',
        )
    import tf_keras

    source = Epochs(loader)
    weights = None
    if class_weight is not None:
        weights = ClassWeights(class_weight, tf_keras.backend.floatx())
    reader = Reader(source, weights)
    try:
        yield dataset(reader, loader.batches_per_epoch), source
    except Exception:
        failure = reader.failure
        if failure is None:
            raise
        raise failure from failure.__cause__
    finally:
        source.close()


class Reader:
    """Begins an iterator of the data set each time that it is called, and ends the one before.

    A source of known length begins a new pass. Any other goes on where it stopped.

    Attributes
    ----------
    failure : Exception or None
        What the source raised in TensorFlow's thread.
    """

    def __init__(self, source: Epochs, weights: ClassWeights | None) -> None:
        self.failure: Exception | None = None
        self._source = source
        self._weights = weights
        self._newest = 0
        # tf_keras makes one iterator more than it reads, and under a distribution strategy
        # TensorFlow reads ahead from it at once, in a thread of its own.
        self._turn = threading.Lock()

    def __call__(self) -> Iterator[Any]:
        """Yield the batches of one iterator."""
        with self._turn:
            self._newest += 1
            own = self._newest
            self._source.begin_epoch()
            self._source.restart()
        while True:
            try:
                batch = self._take(own)
            except StopIteration:
                return
            yield batch
            del batch  # or its slot would be in use while the next one is waited for

    def _take(self, iterator: int) -> Any:
        """Return the next batch for an iterator; raise StopIteration if it is not the newest."""
        with self._turn:
            if iterator != self._newest:
                raise StopIteration
            try:
                batch = self._source.take()
                return batch if self._weights is None else self._weights.apply(batch)
            except StopIteration:
                raise
            except Exception as error:
                self.failure = error
                raise
