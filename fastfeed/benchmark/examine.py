"""A first look at a work: what batches of it look like. The user's own in a process of its own."""

from __future__ import annotations

import itertools
import json
import os
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fastfeed.benchmark.checks import Expected, checksum, leaves
from fastfeed.benchmark.own import begun
from fastfeed.benchmark.task import Load, WorkSpec
from fastfeed.errors import FastFeedError
from fastfeed.sources.streams import is_divisible

BATCHES = 12
AGAIN = 2
LONGEST = 1.5
"""Seconds of asking for batches; slow sources are checked with fewer."""


class SourceFailed(FastFeedError, RuntimeError):
    """The user's source raised an exception, or gave something that is no batch."""


@dataclass(frozen=True)
class Look:
    """What a work's first batches are.

    Parameters
    ----------
    expected : Expected
    layout : str
        Of a batch, for people.
    item_seconds : float
        To make one, the median of a few.
    stream, fills : bool
        Whether it is a stream, and whether it has ``fill``.
    """

    expected: Expected
    layout: str
    item_seconds: float
    stream: bool = False
    fills: bool = False

    @classmethod
    def of(cls, fields: dict[str, Any]) -> Look:
        """Return what `main` printed."""
        expected = fields.pop("expected")
        return cls(Expected(tuple(expected["nbytes"]), tuple(expected["checksums"])), **fields)


def look(work: WorkSpec, load: Load) -> Look:
    """Ask for the first batches, and for the first two of them again.

    Raises
    ------
    SourceFailed
        Naming the batch, and what it raised.
    ArgumentError
        If it is no source.
    """
    source = work.source(load)(BATCHES)
    stream = callable(source)
    taken = list(itertools.islice(_taken(source, work.name), BATCHES))
    again = list(itertools.islice(_taken(source, work.name), AGAIN))
    nbytes = tuple(batch.nbytes for batch in taken)
    same = all(one.checksum == other.checksum for one, other in zip(taken, again, strict=False))
    if not nbytes or not nbytes[0]:
        raise SourceFailed(f"{work.name} gives nothing: no batch, or one without any arrays.")
    comparable = same and not (stream and is_divisible(source))
    checksums = tuple(batch.checksum for batch in taken) if comparable else ()
    seconds = statistics.median(batch.seconds for batch in taken)
    fills = hasattr(source, "fill")
    return Look(Expected(nbytes, checksums), taken[0].layout, seconds, stream, fills)


@dataclass(frozen=True)
class _Taken:
    nbytes: int
    checksum: int
    layout: str
    seconds: float


def _taken(source: Any, name: str) -> Iterator[_Taken]:
    """Yield what the batches of a new pass are, for `LONGEST` seconds at the most."""
    batches = begun(source) if callable(source) else (source[i] for i in range(len(source)))
    start = time.perf_counter()
    for number in itertools.count():
        begin = time.perf_counter()
        if number and begin - start > LONGEST:
            return
        try:
            batch = next(batches)
        except StopIteration:
            return
        except Exception as error:
            said = f"{type(error).__name__}: {error}".rstrip(": ")
            raise SourceFailed(f"{name} fails at batch {number}: {said}") from error
        seconds = time.perf_counter() - begin
        arrays = leaves(batch)
        nbytes = sum(array.nbytes for array in arrays)
        yield _Taken(nbytes, checksum(arrays), layout(arrays), seconds)


def layout(arrays: list[np.ndarray]) -> str:
    """Describe arrays: ``"32x224x224x3 uint8, 32 int64"``."""
    parts = [f"{'x'.join(map(str, array.shape)) or 'scalar'} {array.dtype}" for array in arrays]
    return ", ".join(parts)


def main(load: Load) -> None:
    """Look at the work that the command line names, and print what was seen as JSON."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the source prints
    try:
        said = asdict(look(WorkSpec(**json.loads(sys.argv[1])), load))
    except FastFeedError as error:
        said = {"error": str(error)}
    answers.write(json.dumps(said) + "\n")
    answers.flush()
    os._exit(0)  # the source may have started threads that never end
