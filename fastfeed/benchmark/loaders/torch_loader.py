"""torch.utils.data.DataLoader: whole batches from a map-style dataset, workers kept alive.

Its own conversion turns arrays into tensors, which travel in shared memory; with a collate function
that leaves them arrays they would go through a pipe.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from torch.utils.data import DataLoader

from fastfeed.benchmark.loaders import Setting


@contextmanager
def opened(source: Any, setting: Setting) -> Iterator[Iterable[Any]]:
    """Open a DataLoader whose workers together make `queue` batches ahead."""
    yield DataLoader(
        source,
        batch_size=None,
        num_workers=setting.workers,
        prefetch_factor=max(1, setting.queue // setting.workers),
        persistent_workers=True,
    )
