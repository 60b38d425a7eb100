"""What the process tests share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from fastfeed import Loader


def made_by_hand(source: Any, epochs: int = 1) -> list[list[Any]]:
    """Return each epoch's batches as the calling thread makes them: what workers must give."""
    with Loader(source, workers=0) as loader:
        return [[copied(batch) for batch in loader] for _ in range(epochs)]


def copied(batch: Any) -> Any:
    """Return a batch of arrays that needs no slot."""
    return tuple(np.array(part) for part in batch)


def assert_same(given: Iterable[Any], expected: Iterable[Any]) -> None:
    """Compare batches, bytes and order."""
    for one, other in zip(given, expected, strict=True):
        for part, wanted in zip(one, other, strict=True):
            np.testing.assert_array_equal(part, wanted)


def indices(batches: Iterable[Any]) -> list[int]:
    """Return the index that each batch of `Batches` says it has."""
    return [int(batch[0][0, 0]) for batch in batches]


def outcomes(loader: Loader) -> list[Any]:
    """Go through one epoch past every exception; return what came, in order."""
    found: list[Any] = []
    batches = iter(loader)
    while True:
        try:
            found.append(next(batches))
        except StopIteration:
            return found
        except Exception as error:
            found.append(error)


def in_a_fork(action: Callable[[], object]) -> str:
    """Run `action` in a fork of this process and return what it returned or raised."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            answer = action()
        except BaseException as error:
            answer = f"{type(error).__name__}: {error}"
        os.write(writing, str(answer).encode())
        os._exit(0)
    os.close(writing)
    with open(reading) as pipe:
        told = pipe.read()
    assert os.waitpid(pid, 0)[1] == 0
    return told
