"""No loader at all: the calling thread asks the source for each batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from fastfeed.benchmark.loaders import Setting
from fastfeed.benchmark.own import begun


@contextmanager
def opened(source: Any, setting: Setting) -> Iterator[Iterable[Any]]:
    """Iterate in the calling thread; workers and queue mean nothing here."""
    yield _Epochs(source)


class _Epochs:
    def __init__(self, source: Any):
        self._source = source

    def __iter__(self) -> Iterator[Any]:
        if callable(self._source):
            return begun(self._source)
        return (self._source[index] for index in range(len(self._source)))
