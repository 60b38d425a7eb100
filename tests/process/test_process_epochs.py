"""Workers over many epochs: what they see, and that nothing grows."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
from leftovers import eventually, worker_pids
from process_sources import Asks, Batches
from process_support import copied, indices

from fastfeed import Loader

MiB = 1 << 20


def answers(question, **options) -> list:
    with Loader(Asks(question), workers=2, **options) as loader:
        given = list(loader)
    assert all(answer == given[0] for answer in given)
    return given[0]


def test_workers_have_one_thread_a_library_and_no_gpu():
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
    assert answers(lambda: [os.environ[name] for name in names]) == ["1", "1", "1", ""]
    assert answers(lambda: os.environ["KERAS_BACKEND"]) == "numpy"


def count_threads_of_opencv() -> int:
    import cv2

    return cv2.getNumThreads()


def test_opencv_has_one_thread_also_if_the_source_imports_it_late():
    cv2 = pytest.importorskip("cv2")
    before = cv2.getNumThreads()
    assert answers(count_threads_of_opencv) == 1
    assert cv2.getNumThreads() == before  # the parent keeps its own


def blas_threads() -> list[int]:
    np.ones((300, 300)) @ np.ones((300, 300))
    return len(os.listdir("/proc/self/task"))


def test_a_product_of_matrices_starts_no_threads():
    assert answers(blas_threads) == 2  # Python and the lifeline


def test_worker_env_is_for_the_workers_alone(monkeypatch):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    environment = {"MINE": "yes", "OMP_NUM_THREADS": "2", "KERAS_BACKEND": "torch"}
    given = answers(lambda: [os.environ[name] for name in environment], worker_env=environment)
    assert given == ["yes", "2", "torch"]
    assert "MINE" not in os.environ and "KERAS_BACKEND" not in os.environ


def test_workers_see_what_the_parent_has_set_since_the_first_loader(monkeypatch):
    for value in ("first", "second"):
        monkeypatch.setenv("SET_LATE", value)
        assert answers(lambda: os.environ["SET_LATE"]) == value
    monkeypatch.delenv("SET_LATE")
    assert answers(lambda: "SET_LATE" in os.environ) is False


def test_workers_import_nothing_that_the_source_does_not_need():
    heavy = {"tensorflow", "torch", "jax", "keras", "cv2", "multiprocessing", "pytest"}
    assert answers(lambda: sorted(heavy & sys.modules.keys())) == []


def tree_memory() -> float:
    """Return the MiB of this process, the fork server and the workers, each page once.

    Without mapped files: of libraries a process has less while others run that use them.
    """
    me = psutil.Process()
    found = 0
    for process in [me, *me.children(recursive=True)]:
        for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
            name, _, size = line.partition(":")
            if name in ("Pss_Anon", "Pss_Shmem"):
                found += int(size.split()[0])
    return found * 1024 / MiB


def open_files() -> int:
    return len(os.listdir("/proc/self/fd")) + sum(
        len(os.listdir(f"/proc/{pid}/fd")) for pid in worker_pids()
    )


@pytest.mark.parametrize("ordered", [True, False])
def test_memory_and_descriptors_stay_flat_over_epochs(ordered):
    source = Batches(40, rows=60_000)  # 1.4 MB a batch
    with Loader(source, workers=2, ordered=ordered) as loader:
        for _ in range(3):
            assert len([None for _ in loader]) == 40
        memory, files = tree_memory(), open_files()
        for _ in range(20):
            assert len([None for _ in loader]) == 40
        assert open_files() == files
        assert tree_memory() < memory + 8  # a single batch a epoch would be 28 MB


def test_memory_and_descriptors_stay_flat_over_epochs_that_are_left():
    with Loader(Batches(40, rows=60_000), workers=2) as loader:
        for epoch in range(25):
            if epoch == 5:
                memory, files = tree_memory(), open_files()
            for number, _ in enumerate(loader):
                if number == 5:
                    break
        assert open_files() == files
        assert tree_memory() < memory + 8


@pytest.mark.filterwarnings("ignore:A batch of")
def test_batches_that_grow_are_right_and_former_slots_go():
    rows = [int(100 * 1.2**i) for i in range(40)]  # up to 122,000 rows, 2.9 MB
    source = Batches(40, rows=lambda i: rows[i])
    with Loader(source, workers=2) as loader:
        for _ in range(2):
            given = [copied(batch) for batch in loader]
            assert indices(given) == list(range(40))
            assert [len(batch[0]) for batch in given] == rows
            assert all((batch[0] == i).all() for i, batch in enumerate(given))
        stats = loader.stats()
        largest = 24 * rows[-1]
        assert largest < stats.slot_bytes < 1.3 * largest
        # Nothing is left of smaller segments, in any process: workers may still have one mapped,
        # but without its pages.
        total = stats.slots * stats.slot_bytes / MiB
        assert eventually(lambda: memfd_pages([*worker_pids(), os.getpid()]) < total + 1)


def memfd_pages(pids: list[int]) -> float:
    """Return the MiB of resident slots in these processes, each page counted once."""
    pss = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps") as smaps:
            is_slots = False
            for line in smaps:
                if "-" in line.split(" ", 1)[0] and ":" not in line.split(" ", 1)[0]:
                    is_slots = "memfd:fastfeed-s" in line
                elif is_slots and line.startswith("Pss:"):
                    pss += int(line.split()[1])
    return pss / 1024
