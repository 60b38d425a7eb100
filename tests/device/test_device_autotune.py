"""Workers and batches ahead that change while batches go to a simulated GPU."""

from __future__ import annotations

import random
from typing import Any

import pytest
from device_support import Batches, assert_same, host, made_by_hand
from simulated_gpu import Gpu

from fastfeed import Loader


@pytest.mark.parametrize("kind", [{}, {"use_multiprocessing": False}], ids=["processes", "threads"])
def test_the_batches_are_those_of_a_fixed_loader(gpu: Gpu, kind: dict[str, Any]) -> None:
    numbers, given = random.Random(1), []
    with Loader(
        Batches(40), workers="auto", max_queue_size="auto", device="cuda", **kind
    ) as loader:
        assert loader.autotune is not None
        loader.autotune.freeze()
        for _ in range(2):
            given.append([])
            for step, batch in enumerate(loader):
                given[-1].append(host(batch)[1:])  # the others are random, and threads share those
                if step % 8 == 0:
                    workers, ahead = numbers.randint(1, 3), numbers.randint(1, 12)
                    loader.autotune._resize(workers, ahead)
                    assert (loader.stats().workers, loader.stats().ahead) == (workers, ahead)
    for epoch, expected in zip(given, made_by_hand(Batches(40), 2), strict=True):
        assert_same(epoch, [batch[1:] for batch in expected])
