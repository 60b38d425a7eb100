"""Models of ``tf_keras``, the Keras 2 that lives on beside Keras 3.

They have no door for data adapters, so they read a real ``tf.data.Dataset``. What goes with one
(``class_weight``, steps, distribution strategies) ``tf_keras`` does by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastfeed.devices.dataset import dataset
from fastfeed.errors import ArgumentError
from fastfeed.keras.epochs import Epochs
from fastfeed.keras.wait import NAME
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
def reading(loader: Loader) -> Iterator[tuple[Any, Epochs]]:
    """Give a data set that reads a loader, and its epochs; at the end the pass is closed.

    Raises
    ------
    ArgumentError
        The loader hands out a framework's tensors.
    Exception
        What the source raised: TensorFlow has only its text in an error of its own.
    """
    if loader.framework != "numpy":
        raise ArgumentError(
            "A tf_keras model reads a tf.data.Dataset, which makes the tensors itself: make the "
            "Loader without framework.",
            f'framework="{loader.framework}"',
        )
    source = Epochs(loader)
    reader = Reader(source)
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
    """Begins an iterator of the data set each time that it is called.

    A source of known length begins a new pass. Any other goes on where it stopped.

    Attributes
    ----------
    failure : Exception or None
        What the source raised in TensorFlow's thread.
    """

    def __init__(self, source: Epochs) -> None:
        self.failure: Exception | None = None
        self._source = source

    def __call__(self) -> Iterator[Any]:
        """Yield the batches of one iterator."""
        self._source.begin_epoch()
        self._source.restart()
        while True:
            try:
                batch = self._source.take()
            except StopIteration:
                return
            except Exception as error:
                self.failure = error
                raise
            yield batch
            del batch  # or its slot would be in use while the next one is waited for
