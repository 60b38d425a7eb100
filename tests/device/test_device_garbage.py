"""Batches in reference cycles do not fill the GPU before the garbage collector comes."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from simulated_gpu import Gpu

import fastfeed
from fastfeed import engine
from fastfeed.devices import uploads

BATCHES = 100


class Blocks:
    def __len__(self) -> int:
        return BATCHES

    def __getitem__(self, index: int) -> np.ndarray:
        return np.full(1000, index, "int16")


@pytest.fixture
def cycles(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A framework that leaves cycles behind, and a garbage collector that does not come."""

    def leaving_cycles(*positional: Any, leaves_cycles: bool, **named: Any) -> uploads.Uploads:
        return uploads.Uploads(*positional, leaves_cycles=True, **named)

    monkeypatch.setattr(engine, "Uploads", leaving_cycles)
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def in_a_cycle(batch: Any) -> list[Any]:
    """Keep a batch as Keras on torch does: nobody refers to it but it itself."""
    cycle = [batch]
    cycle.append(cycle)
    return cycle


def test_they_are_collected_when_there_are_more_than_usual(gpu: Gpu, cycles: None) -> None:
    most = 0
    with fastfeed.Loader(Blocks(), workers=2, device="cuda", use_multiprocessing=False) as loader:
        for index, batch in enumerate(loader):
            assert np.asarray(in_a_cycle(batch)[0])[0] == index
            stats = loader.stats().device
            assert stats is not None
            most = max(most, stats.buffers)
        del batch
    assert most < BATCHES / 5


def test_who_keeps_many_batches_is_not_held_up_by_it(
    gpu: Gpu, cycles: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    collections = []
    collect = gc.collect
    monkeypatch.setattr(gc, "collect", lambda *generation: collections.append(collect(*generation)))
    with fastfeed.Loader(Blocks(), workers=2, device="cuda", use_multiprocessing=False) as loader:
        kept = list(loader)
    assert [int(np.asarray(batch)[0]) for batch in kept] == list(range(BATCHES))
    assert 0 < len(collections) < 10
    del kept
