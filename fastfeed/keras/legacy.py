"""Models of ``tf_keras``, the Keras 2 that lives on beside Keras 3.

They have no door for data adapters, so they read a real ``tf.data.Dataset``. Steps, epochs and
distribution strategies ``tf_keras`` then does by itself. It would do ``class_weight`` too, but
fails where a batch has a sample_weight of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from fastfeed.devices.dataset import dataset, open_spec, tensor_tree
from fastfeed.errors import ArgumentError
from fastfeed.keras.epochs import Epochs
from fastfeed.keras.wait import NAME, RATE
from fastfeed.keras.weights import ClassWeights
from fastfeed.loader import Loader
from fastfeed.structure import map_leaves


def is_model(model: Any) -> bool:
    """Tell whether this is a model of ``tf_keras``, without importing that."""
    return any(cls.__module__.partition(".")[0] == "tf_keras" for cls in type(model).__mro__)


def callback_class() -> Any:
    """Return the base class of ``tf_keras``'s callbacks."""
    import tf_keras

    return tf_keras.callbacks.Callback


def with_progress_bar(callbacks: list[Any]) -> list[Any]:
    """Add a progress bar that shows our numbers as they are, unless the user has one of his own.

    That of ``tf_keras`` shows the mean of all steps' values of what is no metric of the model.
    """
    from tf_keras.callbacks import ProgbarLogger

    if any(isinstance(callback, ProgbarLogger) for callback in callbacks):
        return callbacks
    return [*callbacks, ProgbarLogger("steps", stateful_metrics=[NAME, RATE])]


def refuse_device(options: Mapping[str, Any]) -> None:
    """Raise where a Loader for ``tf_keras`` is to be made with a device.

    Raises
    ------
    ArgumentError
        It would bring batches to a GPU, and the data set would take them back.
    """
    if options.get("device") is not None:
        raise ArgumentError(
            "A tf_keras model reads a tf.data.Dataset, which lies in host memory; TensorFlow "
            "copies its batches to the GPU itself: leave out device.",
            f"device={options['device']!r}",
        )


@contextmanager
def reading(
    model: Any, loader: Loader, class_weight: Mapping[int, float] | None
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
            "Loader without framework and device.",
            f'framework="{loader.framework}"',
        )
    source = Epochs(loader)
    reader = Reader(source, class_weight)
    try:
        signature = _prepare(model, reader.standardized(source.peek(1)[0]))
        yield dataset(reader, loader.batches_per_epoch, signature), source
    except Exception:
        failure = reader.failure
        if failure is None:
            raise
        raise failure from failure.__cause__
    finally:
        source.close()
        reader.failure = None  # a model that failed keeps its data set, and so the traceback


def _prepare(model: Any, batch: Any) -> Any:
    """Build what is not built of a model, and return the types of batches like this one.

    As ``tf_keras`` does it for generators: all sizes may change from batch to batch.
    """
    import tensorflow as tf
    import tf_keras

    if not model.built:
        x, _, _ = tf_keras.utils.unpack_x_y_sample_weight(map_leaves(tf.convert_to_tensor, batch))
        # A model that is not called as a whole (a GAN, say) need not be built.
        with suppress(NotImplementedError):
            model.distribute_strategy.run(lambda x: model(x, training=False), args=(x,))

    def open_sizes(array: Any) -> Any:
        return tf.TensorSpec([None] * array.ndim, open_spec(array).dtype)

    return map_leaves(open_sizes, batch)


class Reader:
    """Begins an iterator of the data set each time that it is called, and ends the one before.

    A source of known length begins a new pass. Any other goes on where it stopped.

    Attributes
    ----------
    failure : Exception or None
        What the source raised in TensorFlow's thread.
    """

    def __init__(self, source: Epochs, class_weight: Mapping[int, float] | None) -> None:
        import tf_keras

        self.failure: Exception | None = None
        self._floatx = tf_keras.backend.floatx()
        self._weights = class_weight and ClassWeights(class_weight, self._floatx)
        self._source = source
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
                return self.standardized(self._source.take())
            except StopIteration:
                raise
            except Exception as error:
                self.failure = error
                raise

    def standardized(self, batch: Any) -> Any:
        """Return a batch as ``tf_keras`` makes it of a generator's: floating numbers in its type,
        the classes' weights in the sample_weight.
        """
        if self._weights:
            batch = self._weights.apply(batch)
        return map_leaves(self._in_floatx, tensor_tree(batch))

    def _in_floatx(self, array: Any) -> Any:
        is_floating = isinstance(array, np.ndarray) and array.dtype.kind == "f"
        return array.astype(self._floatx, copy=False) if is_floating else array
