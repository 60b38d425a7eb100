"""The cache in memory: never more than there is, and one copy for all."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from unit_sources import same

from fastfeed.caching import memory
from fastfeed.caching.memory import MemoryCache
from fastfeed.errors import ArgumentError, OutOfMemory

MIB = 1 << 20


@pytest.fixture
def free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that says how much memory is left."""
    monkeypatch.setattr(memory, "LIMITS", str(tmp_path))
    (tmp_path / "proc").mkdir()

    def set_to(n_bytes: int) -> None:
        (tmp_path / "proc" / "meminfo").write_text(f"MemAvailable: {n_bytes // 1024} kB\n")

    return set_to


def test_a_budget_above_what_is_free_is_refused(free: Any) -> None:
    free(100 * MIB)
    with pytest.raises(OutOfMemory, match=r"asks for 90\.0 MiB.* only 80\.0 MiB may be used"):
        MemoryCache(10, 90 * MIB)
    MemoryCache(10, 80 * MIB).close()


def test_the_default_is_half_of_what_may_be_used(free: Any) -> None:
    free(100 * MIB)
    cache = MemoryCache(10)
    assert cache.use().budget_bytes == 40 * MIB
    cache.close()


def test_memory_is_taken_as_it_is_needed() -> None:
    cache = MemoryCache(10, 500 * MIB)
    (fd,) = cache.descriptors()
    cache.add(0, np.zeros(1000))
    assert os.fstat(fd).st_size == 500 * MIB
    assert os.fstat(fd).st_blocks * 512 < MIB
    cache.close()


def test_it_stops_growing_when_memory_becomes_short(free: Any) -> None:
    free(100 * MIB)
    cache = MemoryCache(40, 50 * MIB)
    cache.add(0, np.zeros(MIB, np.uint8))
    free(MIB)
    with pytest.warns(RuntimeWarning, match=r"memory has become short, 838856 bytes") as said:
        for row in range(1, 40):
            cache.add(row, np.zeros(MIB, np.uint8))
    assert len(said) == 1
    assert 10 < cache.use().samples < 20
    assert cache.find(0) is not None
    free(100 * MIB)
    cache.add(39, np.zeros(MIB, np.uint8))
    assert cache.find(39) is not None
    cache.close()


@pytest.mark.parametrize("n_items, budget", [(10, 100), (10**6, 8 * 10**6), (10**12, MIB)])
def test_a_budget_without_room_for_the_table_is_refused(n_items: int, budget: int) -> None:
    with pytest.raises(ArgumentError, match=r"leaves 0 bytes.*table") as caught:
        MemoryCache(n_items, budget)
    assert str(caught.value).endswith(f"Received: cache_budget={budget}")


def test_a_copy_from_elsewhere_sees_the_same_samples() -> None:
    cache = MemoryCache(10, MIB)
    cache.add(1, (np.arange(3), "one"))
    other = pickle.loads(pickle.dumps(cache))
    other.adopt([os.dup(fd) for fd in cache.descriptors()])
    assert same(other.find(1), (np.arange(3), "one"))
    other.add(2, np.arange(4))
    assert same(cache.find(2), np.arange(4))
    assert cache.use() == other.use()
    other.close()
    cache.close()
    assert same(cache.find(2), np.arange(4))  # closed is the descriptor, not the memory
    cache.close()


def test_notes_of_equal_samples_from_other_processes_are_equal() -> None:
    """A dtype that was pickled is another object; names may be one string or two."""
    one, other = MemoryCache(10, MIB), MemoryCache(10, MIB)
    other.adopt([os.dup(fd) for fd in one.descriptors()])
    sample = {"first": np.zeros(3, "U5"), "second": np.zeros(2, "U5"), "third": np.zeros(3)}
    one.add(0, sample)
    other.add(1, {"".join(name): pickle.loads(pickle.dumps(sample[name])) for name in sample})
    out = {name: np.ones((2, *array.shape), array.dtype) for name, array in sample.items()}
    assert one.gather(np.array([0, 1]), out).all()
    assert not out["third"].any()
    one.close()
    other.close()


def test_use_counts_what_was_asked_for() -> None:
    cache = MemoryCache(10, MIB)
    cache.add(1, np.arange(3))
    assert cache.find(0) is None
    assert cache.find(1) is not None
    cache.gather(np.array([1, 2, 1]), np.zeros((3, 3), int))
    use = cache.use()
    assert (use.samples, use.hits, use.misses) == (1, 3, 1)
    cache.close()
