"""torch.utils.data.DataLoader: whole batches from a map-style dataset, workers kept alive."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch.utils.data import DataLoader

from bench.sources import Source


@contextmanager
def opened(source: Source, workers: int, queue: int, option: str) -> Iterator[DataLoader]:
    """Open a DataLoader whose workers together make `queue` batches ahead."""
    yield DataLoader(
        source,
        batch_size=None,
        num_workers=workers,
        prefetch_factor=queue // workers,
        persistent_workers=True,
    )
