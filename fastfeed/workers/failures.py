"""Exceptions of the user's source on their way to the parent."""

from __future__ import annotations

import pickle
import traceback

from fastfeed.errors import RemoteTraceback, SourceError

FOLLOWS = "This exception was raised in a worker"


def presentable(error: BaseException, index: int, epoch: int) -> BaseException:
    """Replace what must not escape from ``next()`` in the parent.

    A StopIteration there would end the loop silently, and a SystemExit the user's program.
    """
    if isinstance(error, SystemExit):
        return SourceError(
            f"The source called sys.exit({error.code!r}) while it made index {index} (epoch "
            f"{epoch}). A worker serves many items; raise an exception instead."
        )
    if isinstance(error, (StopIteration, GeneratorExit)):
        return SourceError(
            f"The source let a {type(error).__name__} escape while it made index {index} (epoch "
            f"{epoch}), perhaps from a next() on an iterator that is used up."
        )
    return error


def text_of(error: BaseException) -> str:
    """Return the traceback as Python would print it."""
    return "".join(traceback.format_exception(error))


def pack(error: BaseException) -> bytes:
    """Pickle an exception with its traceback; one that does not survive becomes a SourceError."""
    text = text_of(error)
    try:
        packed = pickle.dumps((error, text))
        pickle.loads(packed)
        return packed
    except Exception:
        name = f"{type(error).__module__}.{type(error).__qualname__}"
        stand_in = SourceError(f"{name}: {error} (this exception does not pickle)")
        return pickle.dumps((stand_in, text))


def unpack(packed: bytes, worker: int, index: int, epoch: int) -> BaseException:
    """Return the exception with its worker's traceback as cause and the item in a note."""
    error, text = pickle.loads(packed)
    assert isinstance(error, BaseException)
    error.__cause__ = RemoteTraceback(text)
    error.add_note(f"{FOLLOWS} (number {worker}), making index {index} of epoch {epoch}.")
    return error
