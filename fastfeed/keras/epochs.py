"""The order in which the passes over a loader become the epochs of Keras.

Nothing here knows a framework. A loader's pass and a Keras epoch are the same thing for a source
of known length. For others they are not: the batches of an endless generator run on over the
epochs, as they did in Keras 2.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from fastfeed.errors import LoaderClosed, RemoteTraceback, SourceError, SourceExhausted
from fastfeed.keras.peek import Peek
from fastfeed.loader import Loader
from fastfeed.passes import Pass

Transform = Callable[[Any], Any]

_END = object()


class Trail:
    """Where a loader stood after each batch that Keras has taken and not trained on yet: on some
    backends it reads ahead, or looks at a batch and puts it back.
    """

    def __init__(self) -> None:
        self._states: deque[dict[str, Any]] = deque()

    def took(self, state: dict[str, Any]) -> None:
        """Note a batch, and the state after it."""
        self._states.append(state)

    def put_back(self, count: int) -> None:
        """Forget the last batches: they will be taken again."""
        for _ in range(min(count, len(self._states))):
            self._states.pop()

    def lost(self) -> None:
        """Forget all batches: Keras has dropped those that it did not train on."""
        self._states.clear()

    def trained(self, count: int) -> dict[str, Any] | None:
        """Return the state after the next `count` batches; None if there are none."""
        state = None
        for _ in range(min(count, len(self._states))):
            state = self._states.popleft()
        return state


class Epochs:
    """Hands out a loader's batches epoch by epoch.

    A pass begins when its first batch is taken, never earlier: Keras asks for more iterators than
    it reads. Under a distribution strategy TensorFlow reads ahead in threads of its own.

    Parameters
    ----------
    loader : Loader
        Read by nobody else in the meantime. Closing it is up to the caller.
    always_peeks : bool
        Keras looks at a batch before each evaluation too, as it does under a strategy.

    Attributes
    ----------
    batches_per_epoch : int or None
        Batches of a pass; None where that is not known before its end.
    waited_s : float
        Seconds that `take` has taken in all; only one thread reads batches, so only one counts.
    trail : Trail or None
        Somebody wants to know what was trained on; None: nobody.
    """

    def __init__(self, loader: Loader, always_peeks: bool = False) -> None:
        self.batches_per_epoch = loader.batches_per_epoch
        self.waited_s = 0.0
        self.trail: Trail | None = None
        self._loader: Loader | None = loader
        self._pass: Pass | None = None
        self._ahead: list[Any] = []  # taken before its time: by has_next(), or only to look at
        self._epoch_is_empty = True
        self._peek = Peek(always_peeks)
        self._readers = 0
        self._alone = threading.Lock()

    # -- what Keras calls -------------------------------------------------------------------

    def asked_for_length(self) -> None:
        """Note that Keras asks how many batches there are: it has begun something new."""
        self._peek.asked_for_length()

    def begin_epoch(self) -> None:
        """Note that Keras begins an epoch (or an evaluation, or a prediction)."""
        self._epoch_is_empty = True
        self._peek.begin_epoch()

    def end_epoch(self) -> None:
        """Note that Keras ends an epoch. What it took to look at only is put back."""
        with self._alone:
            peeked = self._peek.end_epoch()
            if peeked:
                self._put_back(peeked)
                self._readers += 1  # one that reads ahead must not take them again

    def _put_back(self, batches: list[Any]) -> None:
        self._ahead[:0] = batches
        self._epoch_is_empty = True
        if self.trail is not None:
            self.trail.put_back(len(batches))

    # -- batches ----------------------------------------------------------------------------

    def restart(self) -> int:
        """Begin a new pass with the next batch, if the source has a known length.

        Keras drops its iterator and makes a new one between evaluations; a source without a
        length goes on all the same.

        Returns
        -------
        int
            The reader's number, for `take`.
        """
        if self.batches_per_epoch is not None and not self._ahead:
            self._pass = None
            if self.trail is not None:
                self.trail.lost()
        return self._readers

    def take(self, reader: int | None = None) -> Any:
        """Return the next batch; raise StopIteration where the epoch's data ends.

        A pass that ended together with the epoch before is followed by the next one here.

        Parameters
        ----------
        reader : int, optional
            Who reads: StopIteration if what it has read was put back.

        Raises
        ------
        SourceExhausted
            No batch is left, and the source is an iterator that cannot begin again.
        SourceError
            A whole pass had no batch.
        """
        begin = time.perf_counter()
        with self._alone:
            if reader is not None and reader != self._readers:
                raise StopIteration
            try:
                batch = self._ahead.pop(0) if self._ahead else self._next()
            except Exception as error:
                _note_cause(error)
                raise
            finally:
                self.waited_s += time.perf_counter() - begin
            if batch is _END:
                self._pass = None
                raise StopIteration
            self._epoch_is_empty = False
            self._peek.took(batch)
            if self.trail is not None:
                self.trail.took(self.state())
            return batch

    def has_next(self) -> bool:
        """Tell whether another epoch has data; waits for a batch, which `take` then returns."""
        self._epoch_is_empty = True
        try:
            self._put_back([self.take()])
        except SourceExhausted:
            return False
        return True

    def peek(self, count: int) -> list[Any]:
        """Return the next `count` batches, which `take` then returns; before anybody reads."""
        first = [self.take() for _ in range(count)]
        self._put_back(first)
        return first

    # -- where it stands ----------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return the loader's state after the last batch that was taken and not put back."""
        return self._open_loader().state_dict(unread=len(self._ahead))

    def rewind(self, state: dict[str, Any]) -> None:
        """Let the next epoch begin at a state of the loader."""
        with self._alone:
            loader, count = self._open_loader(), len(self._ahead)
            # Batches that were put back may be what comes next. One of them has to be left, or the
            # next reader would begin a new pass.
            least = 0 if self.batches_per_epoch is None else 1
            ahead = [loader.state_dict(unread=left) for left in range(count, least - 1, -1)]
            if state in ahead:
                del self._ahead[: ahead.index(state)]
                return
            loader.load_state_dict(state)
            self._ahead.clear()
            self._pass = None
            self._epoch_is_empty = True
            self._readers += 1

    def close(self) -> None:
        """Leave the pass and let go of the loader, which stays open; there is no batch after this.

        After an exception Keras keeps the adapter, in the model, until the next fit.
        """
        self._ahead.clear()
        self._peek.forget()
        self._loader = None
        if self._pass is not None:
            self._pass.close()
            self._pass = None

    def _next(self) -> Any:
        batch = _END if self._pass is None else next(self._pass, _END)
        if batch is not _END or not self._epoch_is_empty:
            return batch
        self._pass = iter(self._open_loader())
        batch = next(self._pass, _END)
        if batch is _END:
            self._pass = None
            raise SourceError("The source gave no batch at all: there is nothing to train on.")
        return batch

    def _open_loader(self) -> Loader:
        if self._loader is None:
            raise LoaderClosed("This adapter was closed; make a new one.")
        return self._loader


def _note_cause(error: Exception) -> None:
    """Write the worker's traceback into the exception itself: Keras raises it ``from None``."""
    if isinstance(error.__cause__, RemoteTraceback):
        error.add_note(str(error.__cause__))


class Batches(Iterator[Any]):
    """One iterator: it begins to read the source when its first batch is asked for."""

    def __init__(self, source: Epochs, transform: Transform | None) -> None:
        self._source = source
        self._transform = transform
        self._reader: int | None = None

    def __next__(self) -> Any:
        if self._reader is None:
            self._reader = self._source.restart()
        batch = self._source.take(self._reader)
        return batch if self._transform is None else self._transform(batch)
