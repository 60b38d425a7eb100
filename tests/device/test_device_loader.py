"""Batches on a (simulated) GPU: what arrives, in which order, and what is left."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from simulated_gpu import Gpu

import fastfeed

SHAPE = (4, 5, 3)


class Numbers:
    """Batches that can be told apart."""

    def __init__(self, length: int = 20) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        if index >= self.length:
            raise IndexError(index)
        return np.full(SHAPE, index, "uint8"), np.arange(4) + index


def check(batch: Any, index: int) -> None:
    x, y = (np.asarray(part) for part in batch)
    expected_x, expected_y = Numbers(index + 1)[index]
    np.testing.assert_array_equal(x, expected_x)
    np.testing.assert_array_equal(y, expected_y)
    assert (x.dtype, y.dtype) == (expected_x.dtype, expected_y.dtype)


@pytest.mark.parametrize("workers, processes", [(2, True), (2, False), (0, None)])
def test_every_batch_arrives_once_in_order_for_three_epochs(
    gpu: Gpu, workers: int, processes: bool | None
) -> None:
    with fastfeed.Loader(
        Numbers(), workers=workers, use_multiprocessing=processes, device="cuda"
    ) as loader:
        for _ in range(3):
            count = 0
            for index, batch in enumerate(loader):
                check(batch, index)
                count += 1
            assert count == 20
        stats = loader.stats()
        assert stats.device is not None
        assert stats.device.pinned
        assert stats.device.uploads >= 60  # the next epoch is on its way
