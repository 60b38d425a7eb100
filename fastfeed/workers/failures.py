"""Exceptions of the user's source on their way to the parent."""

from __future__ import annotations

import pickle
import traceback

from fastfeed._core import Batch
from fastfeed.errors import RemoteTraceback, SourceError, WorkerCrashed
from fastfeed.pickling import dumps

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


def ending(exitcode: int | None) -> str:
    """Say how a process ended."""
    if exitcode is None:
        return "an unknown cause"
    return f"signal {-exitcode}" if exitcode < 0 else f"exit code {exitcode}"


def crash(batch: Batch, exitcode: int | None, repeatable: bool) -> WorkerCrashed:
    """Return the error for an item that killed its worker, if `repeatable` again and again."""
    attempts = batch.attempt + 1
    times = f" {attempts} times, the last time" if attempts > 1 else ""
    advice = (
        "Signal 9 often means that memory ran out; signals 11 and 6 come from native code that "
        "the source calls. Make the item alone with workers=0 to see it happen."
    )
    if not repeatable:
        advice += (
            " A generator cannot be continued by another process: what this one had still to give "
            "is missing from this epoch; the next epoch begins it anew."
        )
    return WorkerCrashed(
        f"Making index {batch.index} of epoch {batch.epoch} ended its worker process{times} by "
        f"{ending(exitcode)}. {advice}",
        batch.index,
        batch.epoch,
        exitcode,
    )


def text_of(error: BaseException) -> str:
    """Return the traceback as Python would print it."""
    return "".join(traceback.format_exception(error))


def pack(error: BaseException) -> bytes:
    """Pickle an exception with its traceback; one that does not survive becomes a SourceError."""
    text = text_of(error)
    try:
        packed = dumps((error, text))
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
