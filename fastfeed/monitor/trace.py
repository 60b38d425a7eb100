"""Writes traces: files that Perfetto (https://ui.perfetto.dev) and ``chrome://tracing`` open."""

from __future__ import annotations

import gzip
import json
import os
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import numpy as np

from fastfeed.errors import ArgumentError, FastFeedError
from fastfeed.monitor.journal import View
from fastfeed.monitor.lanes import Lanes
from fastfeed.monitor.recording import Recording, of_journal

SUFFIXES = (".json", ".json.gz")
Name = str | os.PathLike[str]


class TraceError(FastFeedError, OSError):
    """A trace cannot be written."""


def write_trace(view: View, path: Name, seconds: float | None = None) -> int:
    """Write what a loader's journal holds: its last batches, 16,384 at the most.

    Parameters
    ----------
    view : View
    path : path
        Ends with ``.json`` or ``.json.gz``; a file of this name is replaced.
    seconds : float, optional
        Only batches that were handed out in the last so many seconds.

    Returns
    -------
    int
        Batches in it.

    Raises
    ------
    ArgumentError
        `path` ends with something else, or `seconds` is no positive number.
    TraceError
        The file cannot be written.
    """
    if seconds is not None and not seconds > 0:
        raise ArgumentError("seconds must be a positive number.", f"seconds={seconds!r}")
    with opened(path) as file:
        recording = of_journal(view, seconds)
        write(file, [recording])
    return recording.batches


@contextmanager
def opened(path: Name) -> Iterator[IO[str]]:
    """Open a trace for writing; one that was not finished is removed.

    Raises
    ------
    ArgumentError, TraceError
        As `write_trace`.
    """
    check_name(path)
    try:
        file = _text(path)
    except OSError as error:
        raise _failure(path, error) from error
    try:
        with file:
            yield file
    except BaseException as error:
        _remove(path)
        if isinstance(error, OSError) and not isinstance(error, FastFeedError):
            raise _failure(path, error) from error
        raise


def _failure(path: Name, error: OSError) -> TraceError:
    return TraceError(f"The trace {path} cannot be written: {error.strerror or error}.")


def check_name(path: Name) -> None:
    """Raise unless a path ends as a trace's has to.

    Raises
    ------
    ArgumentError
    """
    if not str(path).endswith(SUFFIXES):
        raise ArgumentError(
            "The name of a trace must end with .json, or .json.gz for a compressed one.", str(path)
        )


def _text(path: Name) -> IO[str]:
    if str(path).endswith(".gz"):
        return gzip.open(path, "wt", compresslevel=3, encoding="utf-8")  # a tenth, soon
    return open(path, "w", encoding="utf-8")


def _remove(path: Name) -> None:
    with suppress(OSError):
        if stat.S_ISREG(os.lstat(path).st_mode):  # not /dev/full
            Path(path).unlink()


def write(file: IO[str], recordings: Sequence[Recording]) -> None:
    """Write recordings as one trace, each in a group of lanes.

    Event by event: all together would take 1 KB a batch. The object's other entries come last.
    """
    file.write('{"displayTimeUnit":"ms","traceEvents":[\n')
    separator = ""
    for event in _events(recordings):
        file.write(separator + event)
        separator = ",\n"
    file.write(f'\n],"otherData":{json.dumps(about(recordings))}}}\n')


def about(recordings: Sequence[Recording]) -> dict[str, str]:
    """Return what a trace says of itself; ``realtime_minus_monotonic_ns`` is for merging it."""
    return {
        "writer": "fastfeed",
        "clock": "CLOCK_MONOTONIC",
        "realtime_minus_monotonic_ns": str(time.time_ns() - time.monotonic_ns()),
        "batches": str(sum(recording.batches for recording in recordings)),
        "batches_lost": str(sum(recording.lost for recording in recordings)),
    }


def _events(recordings: Sequence[Recording]) -> Iterator[str]:
    for number, recording in enumerate(recordings):
        lanes = Lanes(number)
        parts = recording.parts
        made = [part["worker"][part["started_ns"] > 0] for part in parts]
        workers = np.unique(np.concatenate(made)).tolist() if made else []
        has_uploads = any(part["uploaded_ns"].any() for part in parts)
        yield from lanes.names(recording.view, workers, has_uploads)
        for part in parts:
            yield from lanes.events(part)
            yield from lanes.counters(part)
