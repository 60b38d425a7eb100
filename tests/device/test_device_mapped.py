"""Light items from one generator, with the batches that workers make of them on a simulated GPU."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from device_support import each_kind, index_of, indices
from simulated_gpu import Gpu

from fastfeed import Loader
from fastfeed.sources.mapped import generator

N = 12


def heavy(number: int) -> tuple[np.ndarray, np.ndarray]:
    return np.full((8, 2), number), np.full(3, number, np.uint8)


def failing() -> Iterator[int]:
    yield from range(4)
    raise KeyError("no item 4")


@each_kind
def test_each_epoch_has_each_batch_once_also_after_a_break(gpu: Gpu, kind: dict[str, Any]) -> None:
    source = generator(lambda: iter(range(N)), map=heavy)
    with Loader(source, device="cuda", **kind) as loader:
        for _ in range(2):
            assert indices(loader) == list(range(N))
        for taken, _ in enumerate(loader):
            if taken == 5:
                break
        assert indices(loader) == list(range(N))


@each_kind
def test_what_the_generator_raises_comes_after_the_batches_before_it(
    gpu: Gpu, kind: dict[str, Any]
) -> None:
    with Loader(generator(failing, map=heavy), device="cuda", **kind) as loader:
        for _ in range(2):
            received = []
            with pytest.raises(KeyError, match="no item 4"):
                for batch in loader:
                    received.append(index_of(batch))
            assert received == [0, 1, 2, 3]
