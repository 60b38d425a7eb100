"""``data_wait``: the share of an epoch's time that training spent waiting for data.

It goes into the logs that Keras hands to its callbacks, and so into the progress bar, the
History, and every callback that writes logs.
"""

from __future__ import annotations

import time
from functools import cache
from typing import Any

from fastfeed.keras.epochs import Epochs

NAME = "data_wait"


class WaitClock:
    """Measures a training's epochs one after the other; validation stops the clock.

    Parameters
    ----------
    source : Epochs
        What is waited for.
    """

    def __init__(self, source: Epochs) -> None:
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
        return waited / max(time.perf_counter() - self._begun, waited, 1e-9)


def data_wait_callback(source: Epochs, callback_class: Any) -> Any:
    """Make the callback that writes ``data_wait`` into the logs of each step and each epoch.

    Parameters
    ----------
    source : Epochs
        The training data.
    callback_class : type
        ``keras.callbacks.Callback``, or that of ``tf_keras``.

    Returns
    -------
    keras.callbacks.Callback
        To be the first of all callbacks: the others see what it has written.
    """
    return _class(callback_class)(WaitClock(source))


@cache
def _class(callback_class: Any) -> Any:
    class DataWait(callback_class):  # type: ignore[misc]
        # Both say: may run beside the training, needs no number. Without the first, Keras 3 would
        # call all callbacks in the training's thread; without the second, tf_keras would wait for
        # each step's result.
        async_safe = True
        _supports_tf_logs = True

        def __init__(self, clock: WaitClock) -> None:
            super().__init__()
            self._clock = clock

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self._clock.begin()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self._write(logs)

        def on_test_begin(self, logs: Any = None) -> None:
            self._clock.stop()

        def on_test_end(self, logs: Any = None) -> None:
            self._clock.go_on()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self._write(logs)
            self._clock.end()

        def _write(self, logs: Any) -> None:
            if logs is not None:
                logs[NAME] = self._clock.share()

    return DataWait
