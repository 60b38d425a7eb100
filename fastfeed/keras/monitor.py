"""`Monitor`: a callback that writes what feeding costs into Keras's logs."""

from __future__ import annotations

import threading
from typing import Any

from fastfeed.errors import ArgumentError
from fastfeed.keras.late import LateCallback
from fastfeed.keras.wait import RATE, Clocked, WaitClock, Waiting
from fastfeed.loader import Loader


class Monitor(LateCallback, Clocked):
    """A Keras callback that adds two numbers to the logs of each step and each epoch.

    The progress bar, the History, ``CSVLogger`` and ``TensorBoard`` then show them. Put it before
    these callbacks in the list; `fit_generator` does so itself.

    ``data_wait``
        Share of the epoch's time, up to now, that training waited for data: from 0 to 1.
    ``batches_per_second``
        Batches trained on in a second of the epoch, up to now. Validation counts in neither.

    Parameters
    ----------
    data : Loader or what `adapter` has made, optional
        What the training reads. `fit_generator` knows it by itself.

    Raises
    ------
    ArgumentError
        `data` is something else.
    UnsupportedHost
        Neither Keras nor ``tf_keras`` is installed.

    Examples
    --------
    >>> model.fit(fastfeed.keras.adapter(loader), callbacks=[fastfeed.keras.Monitor(loader)])
    >>> fastfeed.fit_generator(model, sequence, callbacks=[fastfeed.keras.Monitor()])
    """

    def __init__(self, data: Any = None) -> None:
        super().__init__()
        self._data = _waiting(data)
        self.clock = WaitClock(self._data or _Nothing())  # evaluate() starts none
        self._batches = 0
        self._counting = threading.Lock()  # on JAX Keras calls from several threads

    def watch(self, data: Waiting) -> None:
        """Watch this; `fit_generator` calls it."""
        self._data = data

    def on_train_begin(self, logs: Any = None) -> None:
        """Start to measure."""
        if self._data is None:
            raise ArgumentError(
                "With model.fit() the callback has to know what is read: write "
                "fastfeed.keras.Monitor(loader).",
                "Monitor()",
            )
        self.clock = WaitClock(self._data)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Count an epoch's batches from its begin."""
        self._batches = 0
        super().on_epoch_begin(epoch, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Count; with ``steps_per_execution`` Keras names the last batch of several."""
        with self._counting:
            self._batches = max(self._batches, batch + 1)
        super().on_train_batch_end(batch, logs)

    def write(self, logs: Any) -> None:
        """Write both numbers."""
        super().write(logs)
        if logs is not None:
            logs[RATE] = self._batches / max(self.clock.seconds(), 1e-9)


class _Nothing:
    waited_s = 0.0


class _LoaderWaits:
    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    @property
    def waited_s(self) -> float:
        return self._loader.stats().wait_seconds


def _waiting(data: Any) -> Waiting | None:
    if data is None:
        return None
    if isinstance(data, Loader):
        return _LoaderWaits(data)
    source: Waiting | None = getattr(data, "source", None)
    if not hasattr(source, "waited_s"):
        raise ArgumentError(
            "Monitor() takes the fastfeed.Loader that the training reads, or its "
            "fastfeed.keras.adapter().",
            type(data).__name__,
        )
    return source
