"""torch.utils.data.DataLoader with ``pin_memory=True``, and ``.to(device, non_blocking=True)``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch.utils.data import DataLoader

from bench.gpu.lane import QUEUE, Task
from bench.sources import Source


class OnDevice:
    """What a training loop does with each batch before it uses it."""

    def __init__(self, loader: Iterable[torch.Tensor], device: str):
        self._loader, self._device = loader, device

    def __iter__(self) -> Iterator[torch.Tensor]:
        for batch in self._loader:
            yield batch.to(self._device, non_blocking=True)


@contextmanager
def opened(source: Source, task: Task) -> Iterator[OnDevice]:
    """Open a DataLoader whose workers, kept alive, together make `QUEUE` batches ahead."""
    loader = DataLoader(
        source,
        batch_size=None,
        num_workers=task.workers,
        prefetch_factor=QUEUE // task.workers,
        persistent_workers=True,
        pin_memory=task.device == "cuda",
    )
    yield OnDevice(loader, task.device)
