"""The order in which the passes over a loader become the epochs of Keras.

Nothing here knows a framework. A loader's pass and a Keras epoch are the same thing for a source
of known length. For others they are not: the batches of an endless generator run on over the
epochs, as they did in Keras 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastfeed.errors import RemoteTraceback, SourceError, SourceExhausted
from fastfeed.loader import Loader

_END = object()


class Epochs:
    """Hands out a loader's batches epoch by epoch.

    A pass begins when its first batch is taken, never earlier: Keras asks for more iterators than
    it reads.

    Parameters
    ----------
    loader : Loader
        Read by nobody else in the meantime. Closing it is up to the caller.
    """

    def __init__(self, loader: Loader) -> None:
        self._loader = loader
        self._pass: Iterator[Any] | None = None
        self._ahead: list[Any] = []  # the batch that has_next() took; at most one
        self._epoch_is_empty = True

    @property
    def batches_per_epoch(self) -> int | None:
        """Batches of a pass, or None where that is not known before its end."""
        return self._loader.batches_per_epoch

    def restart(self) -> None:
        """Begin a new pass with the next batch, if the source has a known length.

        Keras drops its iterator and makes a new one between evaluations; a source without a
        length goes on all the same.
        """
        if self.batches_per_epoch is not None:
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
        try:
            batch = self._ahead.pop() if self._ahead else self._next()
        except Exception as error:
            _note_cause(error)
            raise
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

    def close(self) -> None:
        """Let go of the pass. The loader stays open, and the next batch begins a new pass."""
        self._ahead.clear()
        if self._pass is not None:
            self._pass.close()  # type: ignore[attr-defined]
            self._pass = None

    def _next(self) -> Any:
        batch = _END if self._pass is None else next(self._pass, _END)
        if batch is not _END or not self._epoch_is_empty:
            return batch
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
