"""Workers and batches ahead that change while a loop runs: the data does not."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from autotune_support import Shuffles, epochs, frozen, resize
from leftovers import eventually, worker_pids
from process_killer import kill_some
from process_sources import Batches, of_many_sizes, once
from process_support import assert_same, copied, indices

from fastfeed import Loader
from fastfeed.workers import process

pytestmark = pytest.mark.filterwarnings("ignore:All but", "ignore:A batch of")


def nap(index: int) -> None:
    time.sleep(index % 3 / 1000)


class Plain(Batches):
    """Without random numbers: threads share those of the modules."""

    def __getitem__(self, index: int) -> tuple[np.ndarray]:
        nap(index)
        return (np.full((8, 2), index),)


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("options", [{}, {"shuffle": True, "seed": 5}])
@pytest.mark.parametrize(
    ("source", "use_multiprocessing", "every"), [(Batches(36, nap), True, 9), (Plain(60), False, 2)]
)
def test_the_batches_are_those_of_one_worker(source, use_multiprocessing, every, ordered, options):
    options = options | {"use_multiprocessing": use_multiprocessing}
    with Loader(source, workers=1, **options) as loader:
        expected = epochs(loader, 2)
    with frozen(source, ordered=ordered, **options) as loader:
        given = epochs(loader, 2, every)
        assert loader.stats().worker_restarts == 0
    for one, other in zip(given, expected, strict=True):
        if not ordered:
            one, other = sorted(one, key=number), sorted(other, key=number)
        assert_same(one, other)


def number(batch: tuple) -> int:
    return int(batch[0][0, 0])


def test_every_copy_of_a_source_with_hooks_is_in_the_same_epoch():
    with Loader(Shuffles(12), workers=1) as loader:
        expected = epochs(loader, 6)
    with frozen(Shuffles(12)) as loader:
        for one, other in zip(epochs(loader, 6, every=7), expected, strict=True):
            assert_same(one, other)


def test_batches_that_outgrow_their_slots_meanwhile():
    source = Batches(60, rows=of_many_sizes)
    with Loader(source, workers=1) as loader:
        expected = epochs(loader, 1)
    with frozen(source) as loader:
        assert_same(epochs(loader, 1, every=10)[0], expected[0])


@pytest.mark.parametrize("ordered", [True, False])
def test_nothing_is_lost_or_doubled_while_workers_are_killed(monkeypatch, ordered):
    monkeypatch.setattr(process, "RETRIES", 200)
    monkeypatch.setattr(process, "STILLBIRTHS", 10_000)
    source = Batches(30, nap)
    with Loader(source, workers=0) as loader:
        expected = epochs(loader, 3)
    progress, done = threading.Event(), threading.Event()
    killer = threading.Thread(target=kill_some, args=(progress, done))
    with frozen(source, ordered=ordered) as loader:
        killer.start()
        try:
            given = epochs(loader, 3, every=5, then=progress.set)
        finally:
            done.set()
            killer.join()
        assert loader.stats().worker_restarts > 0
    for one, other in zip(given, expected, strict=True):
        assert_same(one if ordered else sorted(one, key=number), other)


def test_a_worker_that_goes_home_is_not_replaced_and_its_number_is_used_again():
    with frozen(Batches(200)) as loader:
        batches = iter(loader)
        next(batches)
        for size in (3, 1, 2):
            resize(loader, size, 12)
            assert loader.stats().workers == size
            assert eventually(lambda: next(batches) and len(worker_pids()) == size)  # noqa: B023
        pool = loader._engine._pool
        pool.tend()
        assert sorted(pool._processes) == pool.workers and len(pool.workers) == 2
        assert max(pool.workers) < 8  # of 32
        assert loader.stats().worker_restarts == 0


def hold(folder: Path, index: int) -> None:
    """Stay in items 3 and 4 until they may go on."""
    if index in (3, 4):
        once(folder / f"holds {index}")
        while not (folder / "go").exists():
            time.sleep(0.005)


class Holds(Batches):
    def __init__(self, folder: Path) -> None:
        super().__init__(24, self.hold)
        self.folder = folder

    def hold(self, index: int) -> None:
        hold(self.folder, index)


def both_hold(folder: Path, loader: Loader) -> list:
    """Start two workers, have one of them in item 3 and the other in item 4."""
    batches = iter(loader)
    given = [copied(next(batches))]
    resize(loader, 2, 10)
    given += [copied(next(batches)) for _ in range(2)]
    assert eventually(lambda: (folder / "holds 3").exists() and (folder / "holds 4").exists())
    return [batches, given]


def test_a_worker_finishes_the_batch_in_hand(tmp_path):
    with frozen(Holds(tmp_path)) as loader:
        batches, given = both_hold(tmp_path, loader)
        resize(loader, 1, 10)
        assert len(worker_pids()) == 2
        (tmp_path / "go").touch()
        given += [copied(batch) for batch in batches]
        assert indices(given) == list(range(24))
        assert loader.stats().worker_restarts == 0
        assert {3, 4} <= {int(r["index"]) for r in loader.stats().records if r["attempt"] == 0}
        assert eventually(lambda: len(worker_pids()) == 1)


def test_a_worker_that_is_killed_on_its_way_home_loses_nothing(tmp_path):
    with Loader(Batches(24), workers=0) as loader:
        expected = epochs(loader, 1)[0]
    with frozen(Holds(tmp_path)) as loader:
        batches, given = both_hold(tmp_path, loader)
        pool = loader._engine._pool
        going = pool._processes[pool.workers[1]].pid
        resize(loader, 1, 10)
        os.kill(going, signal.SIGKILL)
        (tmp_path / "go").touch()
        given += [copied(batch) for batch in batches]
        assert_same(given, expected)
        assert loader.stats().worker_restarts == 0
        again = [int(r["index"]) for r in loader.stats().records if r["attempt"] == 1]
        assert again in ([3], [4])


def test_numbers_of_workers_that_still_go_home_are_not_given_out(tmp_path, monkeypatch):
    with frozen(Holds(tmp_path)) as loader:
        batches, given = both_hold(tmp_path, loader)
        resize(loader, 1, 10)
        monkeypatch.setattr(loader._engine._pool._roster, "_most", 3)
        resize(loader, 3, 10)
        assert loader.stats().workers == 2  # of three numbers one is on its way home
        (tmp_path / "go").touch()
        given += [copied(batch) for batch in batches]
        assert indices(given) == list(range(24))


def test_a_loop_that_is_left_and_begun_again():
    with frozen(Batches(30, nap)) as loader:
        for epoch in range(4):
            for step, batch in enumerate(loader):
                assert indices([batch]) == [step]
                if step == 5 * epoch % 7:
                    break
                resize(loader, 1 + (epoch + step // 2) % 3, 1 + step)
        assert indices(copied(batch) for batch in loader) == list(range(30))


class SlowToCome(Batches):
    def __setstate__(self, state: dict) -> None:
        time.sleep(0.2)
        self.__dict__ = state


@pytest.mark.parametrize("resizes", [[4], [4, 1], [4, 1, 4]])
def test_closing_while_workers_come_and_go(resizes):
    with frozen(SlowToCome(30)) as loader:
        next(iter(loader))
        for workers in resizes:
            resize(loader, workers, 10)
        assert worker_pids()
    assert eventually(lambda: not worker_pids())
