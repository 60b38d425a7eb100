"""Every way to leave a loop or a loader. What is left behind, the fixture in conftest.py sees."""

from __future__ import annotations

import functools
import gc
import os
import signal
import subprocess
import threading
import time

import numpy as np
import pytest
from leftovers import eventually, worker_pids
from process_sources import KEPT, Batches, Divided
from process_support import assert_same, copied, indices, made_by_hand

from fastfeed import Loader
from fastfeed.errors import FastFeedError, LoaderClosed
from fastfeed.workers import process

KINDS = {
    "processes": {"workers": 2},
    "threads": {"workers": 2, "use_multiprocessing": False},
    "caller": {"workers": 0},
}
each_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


@each_kind
@pytest.mark.parametrize("length", [1, 2, 30])
@pytest.mark.parametrize("ordered", [True, False])
def test_after_a_break_the_next_epoch_is_whole(kind, length, ordered):
    expected = made_by_hand(Batches(length), epochs=4)
    with Loader(Batches(length), ordered=ordered, **kind) as loader:
        for epoch in range(4):
            batches = []
            for batch in loader:
                batches.append(copied(batch))
                if epoch in (0, 2):
                    break
            if epoch in (1, 3):
                batches.sort(key=lambda batch: int(batch[0][0, 0]))
                if "use_multiprocessing" not in kind:  # threads do not seed numpy.random
                    assert_same(batches, expected[epoch])
                assert indices(batches) == list(range(length))


@each_kind
def test_an_exception_in_the_loop_passes_through_and_the_loader_can_go_on(kind):
    with Loader(Batches(20), **kind) as loader:
        with pytest.raises(KeyError, match="mine"):
            for _ in loader:
                raise KeyError("mine")
        assert indices(loader) == list(range(20))


@each_kind
def test_an_exception_that_leaves_the_with_block_is_not_changed(kind):
    with pytest.raises(KeyError, match="mine"), Loader(Batches(20), **kind) as loader:
        for _ in loader:
            raise KeyError("mine")


@each_kind
def test_a_loader_can_be_closed_twice_and_then_says_that_it_is_closed(kind):
    loader = Loader(Batches(20), **kind)
    batches = iter(loader)
    first = next(batches)
    loader.close()
    loader.close()
    for use in (lambda: next(batches), lambda: iter(loader)):
        with pytest.raises(LoaderClosed, match="closed"):
            use()
    assert first[0][0, 0] == 0  # a batch that was handed out stays valid
    assert loader.stats().batches == 1


@each_kind
def test_a_loader_that_is_dropped_ends_its_workers(kind):
    loader = Loader(Batches(20), **kind)
    next(iter(loader))
    del loader
    gc.collect()


@pytest.mark.parametrize("kind", ["processes", "threads"])
def test_a_loader_that_is_closed_while_another_thread_waits_ends_that_wait(kind):
    release = threading.Event()
    get_stuck = release.wait if kind == "threads" else functools.partial(time.sleep, 60)
    outcome: list[object] = []

    def consume() -> None:
        try:
            for batch in loader:
                outcome.append(int(batch[0][0, 0]))
        except BaseException as error:
            outcome.append(error)

    loader = Loader(Batches(20, lambda i: i == 3 and get_stuck()), **KINDS[kind])
    consumer = threading.Thread(target=consume)
    consumer.start()
    assert eventually(lambda: len(outcome) == 3)
    loader.close()
    release.set()
    consumer.join()
    assert outcome[:3] == [0, 1, 2]
    assert type(outcome[3]) is LoaderClosed


def test_closing_ends_workers_that_are_stuck_in_an_item():
    loader = Loader(Batches(8, lambda i: i >= 2 and time.sleep(60)), workers=2)
    batches = iter(loader)
    next(batches)
    next(batches)
    assert len(worker_pids()) == 2
    loader.close()  # what is left after some seconds, conftest.py sees


def test_closing_ends_what_a_stuck_item_has_started(tmp_path):
    pid_file = tmp_path / "pid"

    def sleep_in_a_program(index: int) -> None:
        if index >= 2:
            program = subprocess.Popen(["sleep", "60"])
            pid_file.write_text(str(program.pid))
            program.wait()

    with Loader(Batches(8, sleep_in_a_program), workers=1) as loader:
        batches = iter(loader)
        next(batches)
        next(batches)
        assert eventually(lambda: pid_file.exists() and pid_file.read_text())
    assert eventually(lambda: not is_running(int(pid_file.read_text())))


def test_a_pool_that_a_source_has_made_ends_with_its_worker(tmp_path):
    def make_a_pool(index: int) -> None:
        import multiprocessing

        if index == 0:
            pool = multiprocessing.get_context("fork").Pool(2)
            KEPT.append(pool)
            pids = pool.map(wait_and_get_pid, range(2), chunksize=1)
            (tmp_path / "pids").write_text(" ".join(map(str, pids)))

    for how_to_end in (Loader.close, lambda loader: os.kill(worker_pids()[0], signal.SIGKILL)):
        with Loader(Batches(4, make_a_pool), workers=1) as loader:
            next(iter(loader))
            pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
            assert len(set(pids)) == 2 and all(map(is_running, pids))
            how_to_end(loader)
            assert eventually(lambda pids=pids: not any(map(is_running, pids)))


def wait_and_get_pid(_: int) -> int:
    time.sleep(0.1)  # so that each process of a pool gets one
    return os.getpid()


def test_a_loader_may_be_closed_by_a_signal_handler_while_its_loop_waits():
    loader = Loader(Batches(20, lambda i: i == 3 and time.sleep(60)), workers=1)
    before = signal.signal(signal.SIGALRM, lambda *_: loader.close())
    try:
        with pytest.raises(LoaderClosed):
            for batch in loader:
                if batch[0][0, 0] == 2:
                    signal.setitimer(signal.ITIMER_REAL, 0.05)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_an_alarm_while_a_loader_is_closed_comes_when_it_is(monkeypatch):
    class Rang(Exception):
        pass

    def ring(*_: object) -> None:
        raise Rang

    def wait_for(*arguments: object) -> None:
        signal.raise_signal(signal.SIGALRM)
        really_wait_for(*arguments)

    really_wait_for = process.wait_for
    monkeypatch.setattr(process, "wait_for", wait_for)
    before = signal.signal(signal.SIGALRM, ring)
    try:
        loader = Loader(Batches(8, lambda i: i >= 2 and time.sleep(60)), workers=1)
        next(iter(loader))
        with pytest.raises(Rang):
            loader.close()
        assert eventually(lambda: not worker_pids())
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_worker_may_have_a_loader_of_its_own():
    def loop(index: int) -> None:
        with Loader(Batches(5), workers=1) as inner:
            assert indices(inner) == [0, 1, 2, 3, 4]

    with Loader(Batches(3, loop), workers=1) as loader:
        assert indices(loader) == [0, 1, 2]


def is_running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False


def test_the_same_workers_serve_every_epoch():
    with Loader(Batches(10), workers=2) as loader:
        assert indices(loader) == list(range(10))
        pids = worker_pids()
        for _ in range(5):
            assert indices(loader) == list(range(10))
        assert worker_pids() == pids and len(pids) == 2


def test_two_loaders_at_once_do_not_disturb_each_other():
    with Loader(Batches(30), workers=2) as one, Loader(Batches(20), workers=1, seed=5) as two:
        for a, b in zip(one, two, strict=False):
            assert a[0][0, 0] == b[0][0, 0]
        assert indices(one) == list(range(30))
        assert indices(two) == list(range(20))


def test_a_second_loop_over_the_same_loader_ends_the_first():
    with Loader(Batches(10), workers=1) as loader:
        one = iter(loader)
        next(one)
        assert indices(loader) == list(range(10))
        with pytest.raises(FastFeedError, match="one loop at a time"):
            next(one)


def test_a_loader_works_in_a_thread_and_outlives_the_thread_that_made_it():
    loaders: list[Loader] = []
    maker = threading.Thread(target=lambda: loaders.append(Loader(Batches(30), workers=2)))
    maker.start()
    maker.join()
    given: list[list[int]] = []
    user = threading.Thread(target=lambda: given.append(indices(loaders[0])))
    user.start()
    user.join()
    assert given == [list(range(30))]
    assert indices(loaders[0]) == list(range(30))  # and in this one
    loaders.pop().close()


def test_loaders_in_several_threads_at_once():
    given: list[list[int]] = []

    def use() -> None:
        with Loader(Batches(30), workers=1) as loader:
            given.append(indices(loader))

    threads = [threading.Thread(target=use) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert given == [list(range(30))] * 6


def test_a_generator_function_that_is_divided_among_threads_gives_everything_once():
    with Loader(Divided(20), workers=3, use_multiprocessing=False) as loader:
        for _ in range(2):
            assert [int(x[0]) for x in loader] == list(range(20))


def test_keeping_every_batch_is_right_and_said_once():
    with (
        pytest.warns(UserWarning, match="handed out as copies") as warned,
        Loader(Batches(60), workers=2, max_queue_size=4) as loader,
    ):
        kept = list(loader)
    assert len(warned) == 1
    assert indices(kept) == list(range(60))
    assert_same(kept, made_by_hand(Batches(60))[0])


def test_batches_stay_valid_after_the_loader_is_closed():
    with Loader(Batches(4), workers=1) as loader:
        kept = list(loader)
    assert_same(kept, made_by_hand(Batches(4))[0])
    del kept


def test_a_loader_without_a_loop_leaves_nothing():
    Loader(Batches(4), workers=2).close()


def test_many_loaders_one_after_the_other():
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(60):
        with Loader(Batches(3), workers=1) as loader:
            next(iter(loader))
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before + 1  # the fork server's socket


def test_a_stream_that_was_left_begins_again():
    with Loader(Divided(20), workers=2) as loader:
        for x in loader:
            if x[0] == 7:
                break
        assert [int(x[0]) for x in loader] == list(range(20))


def test_an_iterator_that_was_left_goes_on_where_it_stopped():
    with Loader(iter([np.full(2, i) for i in range(10)])) as loader:
        for x in loader:
            if x[0] == 3:
                break
        assert [int(x[0]) for x in loader] == [4, 5, 6, 7, 8, 9]


def test_dropping_a_loader_needs_no_garbage_collector():
    gc.disable()
    try:
        loader = Loader(Batches(20), workers=1)
        next(iter(loader))
        assert len(worker_pids()) == 1
        del loader
        assert eventually(lambda: worker_pids() == [])
    finally:
        gc.enable()
