"""fastfeed.Loader; through ``fill`` where the source offers it, else through ``__getitem__``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import fastfeed
from bench.sources import Source


@contextmanager
def opened(source: Source, workers: int, queue: int, option: str) -> Iterator[fastfeed.Loader]:
    """Open a Loader with `workers` processes and at most `queue` batches ahead."""
    with fastfeed.Loader(source, workers=workers, max_queue_size=queue) as loader:
        yield loader
