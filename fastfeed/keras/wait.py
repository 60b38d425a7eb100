"""``data_wait`` and ``batches_per_second``: what feeding costs an epoch, for Keras's logs.

They go into the logs that Keras hands to its callbacks, and so into the progress bar, the
History, and every callback that writes logs.
"""

from __future__ import annotations

import time
from functools import cache
from typing import Any, Protocol

NAME = "data_wait"
RATE = "batches_per_second"


class Waiting(Protocol):
    """What is waited for: `Epochs`, or a loader."""

    @property
    def waited_s(self) -> float:
        """Seconds that were waited in all."""


class WaitClock:
    """Measures a training's epochs one after the other; validation stops the clock.

    Parameters
    ----------
    source : Waiting
        What is waited for.
    """

    def __init__(self, source: Waiting) -> None:
        self._source = source
        self._waited_before = source.waited_s
        self._begun = self._stopped = time.perf_counter()

    def begin(self) -> None:
        """Begin an epoch. What was waited since the last one was for its first batch."""
        waited = self._source.waited_s - self._waited_before
        self._begun = time.perf_counter() - waited

    def end(self) -> None:
        """End the epoch."""
        self._waited_before = self._source.waited_s

    def stop(self) -> None:
        """Stop for something that is no training."""
        self._stopped = time.perf_counter()

    def go_on(self) -> None:
        """Go on as if no time had passed since `stop`."""
        self._begun += time.perf_counter() - self._stopped

    def share(self) -> float:
        """Return the waiting share of the epoch so far, from 0 to 1."""
        waited = self._source.waited_s - self._waited_before
        return waited / max(self.seconds(), waited, 1e-9)

    def seconds(self) -> float:
        """Return the seconds that the epoch has taken so far, validation apart."""
        return time.perf_counter() - self._begun


class Clocked:
    """The part of a callback that runs a `WaitClock` and writes its share into the logs.

    A base class beside Keras's own `Callback`, which is not imported here.
    """

    # Both say: may run beside the training, needs no number. Without the first, Keras 3 would
    # call all callbacks in the training's thread; without the second, tf_keras would wait for
    # each step's result.
    async_safe = True
    _supports_tf_logs = True
    clock: WaitClock

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Start the clock."""
        self.clock.begin()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Write into the logs of a step."""
        self.write(logs)

    def on_test_begin(self, logs: Any = None) -> None:
        """Stop for a validation."""
        self.clock.stop()

    def on_test_end(self, logs: Any = None) -> None:
        """Go on after a validation."""
        self.clock.go_on()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Write into the logs of an epoch, which is over."""
        self.write(logs)
        self.clock.end()

    def write(self, logs: Any) -> None:
        """Write what was measured; Keras may have no logs."""
        if logs is not None:
            logs[NAME] = self.clock.share()


def data_wait_callback(source: Waiting, callback_class: Any) -> Any:
    """Make the callback that writes ``data_wait`` into the logs of each step and each epoch.

    Parameters
    ----------
    source : Waiting
        The training data.
    callback_class : type
        ``keras.callbacks.Callback``, or that of ``tf_keras``.

    Returns
    -------
    keras.callbacks.Callback
        To be the first of all callbacks: the others see what it has written.
    """
    callback = _class(callback_class)()
    callback.clock = WaitClock(source)
    return callback


@cache
def _class(callback_class: Any) -> Any:
    class DataWait(Clocked, callback_class):  # type: ignore[misc]
        """Nothing but the two together."""

    return DataWait
