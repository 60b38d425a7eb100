"""The upload thread never waits for Python's lock."""

from __future__ import annotations

import ctypes
import time

import numpy as np
from simulated_gpu import Gpu

import fastfeed
from fastfeed.monitor.stats import DeviceStats

ITEM_S = 0.2


class Slow:
    """Batches that take their time."""

    def __len__(self) -> int:
        return 100

    def __getitem__(self, index: int) -> np.ndarray:
        time.sleep(ITEM_S)
        return np.full(1000, index, "int32")


def hold_the_lock(seconds: float) -> None:
    """Sleep in C without giving up Python's lock, as a busy extension does."""
    ctypes.PyDLL(None).usleep(int(seconds * 1e6))


def stats_of(loader: fastfeed.Loader) -> DeviceStats:
    stats = loader.stats().device
    assert stats is not None
    return stats


def test_batches_are_uploaded_while_another_thread_holds_pythons_lock(gpu: Gpu) -> None:
    with fastfeed.Loader(Slow(), workers=2, device="cuda", device_queue_size=2) as loader:
        batches = iter(loader)
        for _ in range(4):  # the first ones bring memory of their own: that takes Python
            next(batches)
        while (before := stats_of(loader)).waiting:  # on a slow machine some are there already
            next(batches)
        hold_the_lock(5 * ITEM_S)
        after = stats_of(loader)
        assert after.waiting == 2
        assert after.uploads == before.uploads + 2
        assert after.host_copies == before.host_copies
