"""What the tests of live tuning share."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
from process_sources import Batches
from process_support import copied

from fastfeed import Loader


class Shuffles(Batches):
    """Mixes its own order between epochs, as a Keras Sequence may."""

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.order = list(range(length))

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return super().__getitem__(self.order[index])

    def on_epoch_end(self) -> None:
        random.shuffle(self.order)


def resize(loader: Loader, workers: int, ahead: int) -> None:
    """Do what a decision of the law does."""
    assert loader.autotune is not None
    loader.autotune._resize(workers, ahead)


def frozen(source: Any, **options: Any) -> Loader:
    """Return a loader that can be resized, and does not do it by itself."""
    loader = Loader(source, workers="auto", max_queue_size="auto", **options)
    assert loader.autotune is not None
    loader.autotune.freeze()
    return loader


def epochs(
    loader: Loader, count: int, every: int = 0, then: Callable[[], object] | None = None
) -> list[list[Any]]:
    """Return the batches of some epochs; `every` so many steps other numbers are drawn. `then` is
    called after each batch.
    """
    numbers, given = random.Random(3), []
    for _ in range(count):
        given.append([])
        for step, batch in enumerate(loader):
            given[-1].append(copied(batch))
            if then is not None:
                then()
            if every and step % every == 0:
                resize(loader, numbers.randint(1, 4), numbers.randint(1, 30))
    return given
