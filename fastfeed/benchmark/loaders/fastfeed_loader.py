"""fastfeed.Loader: through ``fill`` into the slots, or through ``__getitem__`` as all others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from fastfeed.benchmark.loaders import Setting
from fastfeed.loader import Loader
from fastfeed.sources.streams import is_divisible


class Items:
    """A source without its ``fill``."""

    def __init__(self, source: Any):
        self._source = source

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Any:
        return self._source[index]


@contextmanager
def opened(source: Any, setting: Setting) -> Iterator[Iterable[Any]]:
    """Open a Loader with at most `queue` batches ahead."""
    workers: int | None = setting.workers
    threads = False if setting.option == "threads" else None
    if callable(source):
        workers = setting.workers if is_divisible(source) else 1
    elif setting.option != "fill":
        source = Items(source)
    with Loader(
        source, workers=workers, max_queue_size=setting.queue, use_multiprocessing=threads
    ) as loader:
        yield loader
