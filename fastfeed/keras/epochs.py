"""The order in which the passes over a loader become the epochs of Keras.

Nothing here knows a framework. A loader's pass and a Keras epoch are the same thing for a source
of known length. For others they are not: the batches of an endless generator run on over the
epochs, as they did in Keras 2.
"""

from __future__ import annotations

import time
from typing import Any

from fastfeed.errors import LoaderClosed, RemoteTraceback, SourceError, SourceExhausted
from fastfeed.loader import Loader, Pass

_END = object()


class Epochs:
    """Hands out a loader's batches epoch by epoch.

    A pass begins when its first batch is taken, never earlier: Keras asks for more iterators than
    it reads.

    Parameters
    ----------
    loader : Loader
        Read by nobody else in the meantime. Closing it is up to the caller.

    Attributes
    ----------
    batches_per_epoch : int or None
        Batches of a pass; None where that is not known before its end.
    waited_s : float
        Seconds that `take` has lasted in all: the time for which training waited for data.
    """

    def __init__(self, loader: Loader) -> None:
        self.batches_per_epoch = loader.batches_per_epoch
        self.waited_s = 0.0
        self._loader: Loader | None = loader
        self._pass: Pass | None = None
        self._ahead: list[Any] = []  # what has_next() or peek() took
        self._epoch_is_empty = True

    def restart(self) -> None:
        """Begin a new pass with the next batch, if the source has a known length.

        Keras drops its iterator and makes a new one between evaluations; a source without a
        length goes on all the same.
        """
        if self.batches_per_epoch is not None and not self._ahead:
            self._pass = None

    def begin_epoch(self) -> None:
        """Note that Keras begins an epoch (or an evaluation, or a prediction)."""
        self._epoch_is_empty = True

    def take(self) -> Any:
        """Return the next batch; raise StopIteration where the epoch's data ends.

        A pass that ended together with the epoch before is followed by the next one here.

        Raises
        ------
        SourceExhausted
            No batch is left, and the source is an iterator that cannot begin again.
        SourceError
            A whole pass had no batch.
        """
        begin = time.perf_counter()
        try:
            batch = self._ahead.pop(0) if self._ahead else self._next()
        except Exception as error:
            _note_cause(error)
            raise
        self.waited_s += time.perf_counter() - begin
        if batch is _END:
            self._pass = None
            raise StopIteration
        self._epoch_is_empty = False
        return batch

    def has_next(self) -> bool:
        """Tell whether another epoch has data; waits for a batch, which `take` then returns."""
        self._epoch_is_empty = True
        try:
            self._ahead.append(self.take())
        except SourceExhausted:
            return False
        return True

    def peek(self, count: int) -> list[Any]:
        """Return the first `count` batches, which `take` then returns; before anybody reads."""
        first = [self.take() for _ in range(count)]
        self._ahead = list(first)
        self._epoch_is_empty = True
        return first

    def close(self) -> None:
        """Leave the pass and let go of the loader, which stays open; there is no batch after this.

        After an exception Keras keeps the adapter, in the model, until the next fit.
        """
        self._ahead.clear()
        self._loader = None
        if self._pass is not None:
            self._pass.close()
            self._pass = None

    def _next(self) -> Any:
        batch = _END if self._pass is None else next(self._pass, _END)
        if batch is not _END or not self._epoch_is_empty:
            return batch
        if self._loader is None:
            raise LoaderClosed("This adapter was closed; make a new one.")
        self._pass = iter(self._loader)
        batch = next(self._pass, _END)
        if batch is _END:
            self._pass = None
            raise SourceError("The source gave no batch at all: there is nothing to train on.")
        return batch


def _note_cause(error: Exception) -> None:
    """Write the worker's traceback into the exception itself: Keras raises it ``from None``."""
    if isinstance(error.__cause__, RemoteTraceback):
        error.add_note(str(error.__cause__))
