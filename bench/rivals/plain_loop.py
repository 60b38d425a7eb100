"""No loader at all: the calling thread makes each batch in an array of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from bench.sources import Source


class _Epochs:
    def __init__(self, source: Source):
        self._source = source

    def __iter__(self) -> Iterator[np.ndarray]:
        source = self._source
        for index in range(len(source)):
            out = np.empty(source.shape, source.dtype)
            source.fill(index, out, np.random.default_rng(index))
            yield out


@contextmanager
def opened(source: Source, workers: int, queue: int, option: str) -> Iterator[_Epochs]:
    """Iterate in the calling thread; `workers` and `queue` mean nothing here."""
    yield _Epochs(source)
