"""What a source takes up in all processes together, and that it stays so."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from leftovers import worker_pids
from process_sources import Batches

from fastfeed import Loader
from fastfeed.monitor import growth
from fastfeed.sources.mapped import generator

MIB = 1 << 20
N = 150_000

pytestmark = pytest.mark.skipif(
    "libasan" in os.environ.get("LD_PRELOAD", ""),
    reason="the address sanitizer keeps what is freed",
)


def memory_of(pid: int, *names: str) -> int:
    """Return bytes: "Pss_...", of which shared pages count in parts, or "Anonymous", its own."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    sizes = {name: int(size.split()[0]) for name, size in (line.split(":") for line in lines)}
    return sum(sizes[name] * 1024 for name in names)


def tree_bytes() -> int:
    """Return the proportional memory of this process and its workers.

    Without mapped files: of libraries a process has less while others run that use them.
    """
    pids = [os.getpid(), *worker_pids()]
    return sum(memory_of(pid, "Pss_Anon", "Pss_Shmem") for pid in pids)


class Paths:
    """Every item is made of all paths."""

    def __init__(self, paths: Any) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> np.ndarray:
        assert all(path[-1] == "g" for path in self.paths)
        return np.array([len(self.paths)])


def private_bytes(paths: Any) -> int:
    """Return what the workers have of their own, all together, when each has read the paths."""
    with Loader(Paths(paths), workers=3) as loader:
        while not all(worker.batches for worker in loader._view().workers()):
            assert [int(batch[0]) for batch in loader] == [len(paths)] * 4
        return sum(memory_of(pid, "Anonymous") for pid in worker_pids())


def test_a_long_list_is_nobodys_own_but_lies_in_memory_once() -> None:
    paths = [f"/data/train/class_{i % 1000:04d}/image_{i:08d}.jpg" for i in range(N)]
    without, with_list = private_bytes(paths[:100]), private_bytes(paths)
    as_objects = 3 * N * (len(paths[0]) + 49 + 8)  # str has a head of 49 bytes, a list pointers
    assert as_objects > 40 * MIB
    assert with_list - without < 10 * MIB


class Keeping:
    """Keeps `n_bytes` of every third item that it makes, as a forgotten cache does."""

    def __init__(self, n_bytes: int) -> None:
        self.n_bytes = n_bytes
        self.kept: list[Any] = []

    def __len__(self) -> int:
        return 30

    def __getitem__(self, index: int) -> np.ndarray:
        time.sleep(0.001)
        made = np.ones(self.n_bytes, np.uint8)
        if index % 3 == 0:
            self.kept.append(made)
        return np.array([index])


class Listed:
    """Samples from a long list."""

    def __init__(self) -> None:
        self.paths = [(f"{i}.jpg", i) for i in range(20_000)]

    def __len__(self) -> int:
        return 1000

    def __getitem__(self, index: int) -> tuple[str, int]:
        return self.paths[20 * index]


def heavy(number: int) -> np.ndarray:
    return np.full(2000, number)


SOURCES = {
    "batches": (lambda: Batches(100, rows=500), {}),
    "samples": (Listed, {"batch_size": 20}),
    "mapped": (lambda: generator(lambda: iter(range(100)), map=heavy), {}),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_memory_is_flat_over_20_epochs(kind: str) -> None:
    make, options = SOURCES[kind]
    with Loader(make(), workers=2, shuffle=kind != "mapped", **options) as loader:
        after = []
        for _ in range(20):
            for _ in loader:
                pass
            after.append(tree_bytes())
    # A page lost with each batch would be 4 MiB from the one to the other. The first epochs fill
    # what is used again, the more of it the more there was before in this process.
    assert max(after[15:]) - max(after[5:8]) < MIB, [size // 1024 for size in after]


@pytest.fixture
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look every 20 ms instead of every second."""
    monkeypatch.setattr(growth, "SECOND", 20_000_000)


@pytest.mark.usefixtures("quick_looks")
def test_a_worker_that_grows_is_named_with_the_cause_and_the_cure() -> None:
    with Loader(Keeping(MIB), workers=1) as loader:
        epochs = 0
        while not loader.stats().growing and epochs < 40:
            epochs += 1
            assert sum(1 for _ in loader) == 30
        (pid,) = worker_pids()
        said = loader.stats().growing
    found = re.match(r"worker 0 \(pid (\d+)\) grew by ([\d.]+) MiB in (\d+) epochs: ", said)
    assert found is not None, said
    assert int(found[1]) == pid
    assert 16 < float(found[2]) < 10 * epochs
    assert 2 <= int(found[3]) <= epochs
    assert "__getitem__" in said and 'cache="memory"' in said
    assert f"\ngrowing: {said}" in str(loader.stats()), "also when it is closed"


@pytest.mark.usefixtures("quick_looks")
def test_workers_that_come_and_go_in_size_are_not_named() -> None:
    with Loader(Keeping(10), workers=2) as loader:
        for _ in range(15):
            assert sum(1 for _ in loader) == 30
        looks = [len(each._samples) for each in loader._engine._memory._growth.values()]
        assert len(looks) == 2 and min(looks) >= growth.FEWEST_SAMPLES
        assert loader.stats().growing == ""
        assert "growing" not in str(loader.stats())


def test_threads_are_nobody_who_could_grow() -> None:
    with Loader(Keeping(MIB), workers=2, use_multiprocessing=False) as loader:
        assert sum(1 for _ in loader) == 30
        assert loader.stats().growing == "" and not loader._engine._memory._growth
