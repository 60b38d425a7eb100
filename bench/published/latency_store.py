"""A store that is far away: every read sleeps, for a time that is drawn from its seed.

The times are lognormal. Their mean makes one read after another in four workers as slow as the
published figure for S3 and plain torch, 57.5 images/s; so what is compared is the other rows.
"""

from __future__ import annotations

import asyncio
import math
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

WORKERS, FETCHERS, BATCH = 4, 16, 64  # of the published run
MEAN = WORKERS / 57.5  # seconds a read
SIGMA = 0.6  # of the logarithm: the slowest in a hundred take 3.4 times the mean
MEDIAN = MEAN / math.exp(SIGMA**2 / 2)
SHAPE = (32, 32, 3)


class Store:
    """Images of which each read sleeps as long as its index says.

    Parameters
    ----------
    length : int
        Images.
    speed : float
        1: the published latency; 10: a tenth of it.
    """

    def __init__(self, length: int, speed: float = 1.0):
        drawn = np.random.default_rng(0).lognormal(math.log(MEDIAN), SIGMA, length)
        self.seconds = drawn * (MEAN / drawn.mean()) / speed

    def __len__(self) -> int:
        return len(self.seconds)

    def image(self, index: int) -> np.ndarray:
        """Return an image that shows its index."""
        return np.full(SHAPE, index % 251, np.uint8)

    def __getitem__(self, index: int) -> np.ndarray:
        time.sleep(self.seconds[index])
        return self.image(index)


class Threaded(Store):
    """Reads a batch with sixteen threads; torch asks for whole batches by ``__getitems__``."""

    pool: ThreadPoolExecutor | None = None  # made in the worker: threads cannot be sent there

    def __getitems__(self, indices: list[int]) -> list[np.ndarray]:
        if self.pool is None:
            self.pool = ThreadPoolExecutor(FETCHERS)
        return list(self.pool.map(self.__getitem__, indices))


class Asyncio(Store):
    """Reads a batch with sixteen coroutines at a time."""

    def __getitems__(self, indices: list[int]) -> list[np.ndarray]:
        return asyncio.run(self._all(indices))

    async def _all(self, indices: list[int]) -> list[np.ndarray]:
        places = asyncio.Semaphore(FETCHERS)

        async def one(index: int) -> np.ndarray:
            async with places:
                await asyncio.sleep(self.seconds[index])
            return self.image(index)

        return await asyncio.gather(*(one(index) for index in indices))


class ThreadedBatches:
    """Whole batches by sixteen threads each, for fastfeed: every read writes its own row.

    Parameters
    ----------
    length, speed : int, float
        See `Store`.
    """

    def __init__(self, length: int, speed: float = 1.0):
        self.store = Store(length, speed)
        self.pool: ThreadPoolExecutor | None = None

    def __len__(self) -> int:
        return len(self.store) // BATCH

    @property
    def spec(self) -> Any:
        """The layout of a batch."""
        from fastfeed import ArraySpec

        return ArraySpec((BATCH, *SHAPE), np.dtype("uint8"))

    def fill(self, index: int, out: np.ndarray, rng: object) -> None:
        """Write a batch."""
        if self.pool is None:
            self.pool = ThreadPoolExecutor(FETCHERS)

        def read(row: int) -> None:
            out[row] = self.store[index * BATCH + row]

        list(self.pool.map(read, range(BATCH)))
