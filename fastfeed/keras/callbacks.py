"""The callbacks that `fit_generator` adds to the user's."""

from __future__ import annotations

import warnings
from typing import Any

from fastfeed.keras.checkpoint import LoaderCheckpoint
from fastfeed.keras.epochs import Epochs
from fastfeed.keras.monitor import Monitor
from fastfeed.keras.wait import data_wait_callback


def with_ours(
    callbacks: Any, callback_class: Any, source: Epochs | None, epochs: int, data_wait: bool
) -> list[Any]:
    """Add our callbacks to the user's: to be read by them, the waiting is logged before them.

    Parameters
    ----------
    callbacks : callback, list of them, or None
        The user's.
    callback_class : type
        ``keras.callbacks.Callback``, or that of ``tf_keras``.
    source : Epochs or None
        The training data; None if Keras reads it by itself.
    """
    all_ = list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
    all_ = [callback for callback in all_ if callback is not None]
    if source is None:
        return all_
    monitors = [callback for callback in all_ if isinstance(callback, Monitor)]
    checkpoints = [callback for callback in all_ if isinstance(callback, LoaderCheckpoint)]
    ours: list[Any] = [*monitors, *checkpoints]  # states before the models that they go with
    for callback in ours:
        callback.watch(source)
    all_ = [*ours, *(callback for callback in all_ if callback not in ours)]
    if data_wait and not monitors:  # which write it too
        all_.insert(0, data_wait_callback(source, callback_class))
    if source.batches_per_epoch is None:
        all_.append(_end_of_data(callback_class, source, epochs))
    all_ += [_when_restored(callback_class, checkpoint) for checkpoint in checkpoints]
    return all_


def _when_restored(callback_class: Any, checkpoint: LoaderCheckpoint) -> Any:
    """Make a callback that tells the checkpoint when all others have begun the training."""

    class WhenRestored(callback_class):  # type: ignore[misc]
        def on_train_begin(self, logs: Any = None) -> None:
            checkpoint.on_model_restored()

    return WhenRestored()


def _end_of_data(callback_class: Any, source: Epochs, epochs: int) -> Any:
    """Make a callback that ends the training before an epoch for which no data is left.

    Keras itself would go on, and log a loss of 0 for an epoch without a step.
    """

    class EndOfData(callback_class):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if epoch + 1 < epochs and not self.model.stop_training and not source.has_next():
                warnings.warn(
                    f"The source is used up: training ends after {epoch + 1} of {epochs} epochs.",
                    stacklevel=2,
                )
                self.model.stop_training = True

    return EndOfData()
