"""Light items on their way to worker processes: deaths, large items, what stays behind."""

from __future__ import annotations

import functools
import os
import pickle
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from leftovers import eventually, open_descriptors, worker_pids
from process_killer import kill_some
from process_scripts import run
from process_sources import once
from process_support import outcomes

from fastfeed import Loader
from fastfeed.errors import OutOfMemory, SourceError, WorkerCrashed
from fastfeed.sources import light
from fastfeed.sources.mapped import generator
from fastfeed.workers import process

pytestmark = pytest.mark.filterwarnings("ignore:All but", "ignore:A batch of")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def with_numbers(number: int, rng: np.random.Generator) -> tuple[int, float, float]:
    """A batch that tells its item and its random numbers."""
    return number, rng.random(), np.random.random()


def dying_once(number: int, rng: np.random.Generator, marker: Path, fatal: int) -> Any:
    """The same, but the worker that makes item `fatal` first is killed."""
    if number == fatal and once(marker):
        die()
    return with_numbers(number, rng)


def deadly(number: int) -> int:
    """Item 3 kills every worker."""
    if number == 3:
        die()
    return number


def slow(number: int) -> int:
    time.sleep(0.002)
    return number


class Items:
    """Gives `n` numbers and counts them. A lock keeps it from being pickled."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.given = 0
        self.lock = threading.Lock()

    def __call__(self) -> Iterator[int]:
        for number in range(self.n):
            self.given += 1
            yield number


def all_of(source: Any, **options: Any) -> list[Any]:
    with Loader(source, **options) as loader:
        return list(loader)


@pytest.mark.parametrize("workers", [1, 2])
def test_only_the_item_in_the_hands_of_a_killed_worker_is_made_again(
    tmp_path: Path, workers: int
) -> None:
    items, marker = Items(12), tmp_path / "killed"
    make = functools.partial(dying_once, marker=marker, fatal=5)
    with Loader(generator(items, map=make), workers=workers, seed=4) as loader:
        received = list(loader)
        assert marker.exists()
        if workers == 1:
            assert loader.stats().worker_restarts == 1
    assert received == all_of(generator(Items(12), map=with_numbers), workers=0, seed=4)
    assert items.given == 12


def test_samples_of_a_killed_worker_are_made_again(tmp_path: Path) -> None:
    make = functools.partial(dying_once, marker=tmp_path / "killed", fatal=6)
    received = all_of(generator(Items(11), map=make), batch_size=4, workers=2, seed=4)
    expected = all_of(generator(Items(11), map=with_numbers), batch_size=4, workers=0, seed=4)
    for batch, wanted in zip(received, expected, strict=True):
        for column, its in zip(batch, wanted, strict=True):
            np.testing.assert_array_equal(column, its)


@pytest.mark.parametrize("ordered", [True, False])
def test_an_item_that_kills_every_worker_is_told_of_and_the_others_come(ordered: bool) -> None:
    with Loader(generator(Items(9), map=deadly), workers=2, ordered=ordered) as loader:
        found = outcomes(loader)
        (crash,) = [one for one in found if isinstance(one, WorkerCrashed)]
        assert (crash.index, crash.epoch, crash.exitcode) == (3, 0, -9)
        assert ordered <= (found[3] is crash)
        assert sorted(one for one in found if one is not crash) == [0, 1, 2, 4, 5, 6, 7, 8]


def test_an_item_that_kills_every_worker_may_be_the_last() -> None:
    with Loader(generator(Items(4), map=deadly), workers=1) as loader:
        *good, crash = outcomes(loader)
    assert good == [0, 1, 2] and isinstance(crash, WorkerCrashed)


def test_workers_killed_at_any_time_lose_and_double_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process, "RETRIES", 200)  # the killer may hit one item again and again
    monkeypatch.setattr(process, "STILLBIRTHS", 10_000)
    progress, done = threading.Event(), threading.Event()
    killer = threading.Thread(target=kill_some, args=(progress, done))
    with Loader(generator(Items(40), map=slow), workers=3, max_queue_size=6) as loader:
        killer.start()
        try:
            while loader.stats().worker_restarts < 6:
                received = []
                for number in loader:
                    received.append(number)
                    progress.set()
                assert received == list(range(40))
        finally:
            done.set()
            killer.join()


# -- what travels ---------------------------------------------------------------------------


class Local:
    """Stands for a class of a script, which workers cannot import."""

    def __init__(self, number: int) -> None:
        self.number = number


Local.__module__ = "__main__"
SIZES = [0, 10, 4088, 4089, 5000, 3_000_000, 7, 20_000_000, 1]


def length(data: bytes) -> tuple[int, int, int]:
    return len(data), data[0] if data else -1, data[-1] if data else -1


def test_items_of_any_size_arrive() -> None:
    items = [bytes([i + 1]) * size for i, size in enumerate(SIZES)]
    with Loader(generator(items, map=length), workers=2) as loader:
        for _ in range(2):
            assert list(loader) == [length(item) for item in items]


def test_classes_of_the_script_and_lambdas_may_be_items() -> None:
    import __main__

    __main__.Local = Local  # type: ignore[attr-defined]
    try:
        items = [(Local(2), lambda n: n + 1), (Local(5), lambda n: n * 2)]
        pickle.dumps(items[0][0])  # plain pickle takes it, and could not be read in a worker
        made = all_of(generator(items, map=lambda pair: pair[1](pair[0].number)), workers=1)
    finally:
        del __main__.Local
    assert made == [3, 10]


def test_an_item_that_cannot_be_sent_is_named_in_its_place(tmp_path: Path) -> None:
    with Loader(generator([1, 2, threading.Lock(), 4], map=slow), workers=2) as loader:
        *good, error = outcomes(loader)
    assert good == [1, 2]
    assert isinstance(error, SourceError) and "open files in map" in str(error)


def test_items_larger_than_memory_are_refused_with_the_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "meminfo").write_text("MemTotal: 4096 kB\nMemAvailable: 2048 kB\n")
    monkeypatch.setattr(light, "LIMITS", str(tmp_path))
    with Loader(generator([b"1", b"2" * 5_000_000], map=length), workers=1) as loader:
        first, error = outcomes(loader)
    assert first[0] == 1
    assert isinstance(error, OutOfMemory) and "4.8 MiB" in str(error)


# -- what stays behind ----------------------------------------------------------------------


def shelf_pages(loader: Loader) -> int:
    """Return the bytes that light items take up."""
    (fd,) = loader._source.descriptors()
    return os.fstat(fd).st_blocks * 512


def test_items_take_up_memory_only_until_their_batch_was_made() -> None:
    n, size = 60, 1_000_000
    items = (bytes([i]) * size for i in range(n))
    with Loader(generator(items, map=length), workers=2, max_queue_size=4) as loader:
        most = max(shelf_pages(loader) for _ in loader)
        # 4 ahead and 1 pulled are needed; the others go when they are more than 4 MiB.
        assert 2 * size < most < 5 * size + light.FREE_AT + 2 * size


def overtaken_and_killed(item: tuple[int, bytes], folder: Path) -> int:
    """Item 0 waits for item 6 and then ends its worker: when it is made again, more bytes have been
    written than the shelf keeps.
    """
    number, data = item
    if number == 6:
        (folder / "six").touch()
    if number == 0 and once(folder / "begun"):
        while not (folder / "six").exists():
            time.sleep(0.001)
        die()
    assert set(data) == {number}
    return number


def failing(data: bytes) -> int:
    raise ValueError("never works")


def test_items_that_fail_take_up_no_more() -> None:
    items = [bytes(100_000)] * 150
    with Loader(generator(items, map=failing), workers=2, max_queue_size=4) as loader:
        assert len(outcomes(loader)) == 150
        assert shelf_pages(loader) < light.FREE_AT + 10 * 110_000


def test_unordered_items_stay_for_the_slowest_batch(tmp_path: Path) -> None:
    n, size = 60, 1_000_000
    items = [(i, bytes([i]) * size) for i in range(n)]
    make = functools.partial(overtaken_and_killed, folder=tmp_path)
    with Loader(generator(items, map=make), workers=3, max_queue_size=2, ordered=False) as loader:
        received = list(loader)
        assert shelf_pages(loader) < n * size // 2
        assert loader.stats().worker_restarts == 1
    assert sorted(received) == list(range(n))
    assert received[0] != 0


def test_an_epoch_that_was_left_takes_up_nothing() -> None:
    with Loader(generator(lambda: iter([bytes(1 << 20)] * 9), map=length), workers=1) as loader:
        for _ in range(3):
            next(iter(loader))
            assert shelf_pages(loader) <= 12 << 20


def test_nothing_is_left_behind() -> None:
    def go() -> None:
        with Loader(generator(Items(20), map=slow), workers=2) as loader:
            next(iter(loader))

    go()
    before = open_descriptors()
    for _ in range(3):
        go()
    assert eventually(lambda: not worker_pids())
    assert eventually(lambda: open_descriptors() <= before)


def test_ctrl_c_in_a_slow_generator_ends_the_script_at_once(tmp_path: Path) -> None:
    status, output = run(
        tmp_path,
        """
        import os, signal, threading, time
        from fastfeed import Loader
        from fastfeed.sources.mapped import generator

        def items():
            yield from range(3)
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
            time.sleep(60)

        with Loader(generator(items, map=lambda n: n), workers=2) as loader:
            list(loader)
        """,
    )
    assert status == -signal.SIGINT
    assert output.rstrip().endswith("KeyboardInterrupt")
