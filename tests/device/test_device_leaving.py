"""Every way to leave a loop or a loader with a simulated GPU, in this process."""

from __future__ import annotations

import functools
import gc
import itertools
import signal
import threading
import time
from typing import Any

import pytest
from device_support import (
    KINDS,
    Batches,
    assert_same,
    each_kind,
    index_of,
    indices,
    made_by_hand,
    wait_until_ready,
)
from leftovers import eventually, worker_pids
from simulated_gpu import Gpu, SimulatedArray

from fastfeed import Loader, _core
from fastfeed.devices import arrays
from fastfeed.errors import FastFeedError, LoaderClosed


def sleep_from(place: int, index: int) -> None:
    if index >= place:
        time.sleep(60)


@each_kind
def test_a_loader_can_be_closed_twice_and_then_says_so(gpu: Gpu, kind: dict[str, Any]) -> None:
    loader = Loader(Batches(20), device="cuda", **kind)
    batches = iter(loader)
    first = next(batches)
    loader.close()
    loader.close()
    for use in (lambda: next(batches), lambda: iter(loader)):
        with pytest.raises(LoaderClosed, match="closed"):
            use()
    assert index_of(first) == 0


@each_kind
@pytest.mark.parametrize("taken", [0, 5])
def test_a_loader_that_is_dropped_leaves_nothing_and_another_one_works(
    gpu: Gpu, kind: dict[str, Any], taken: int
) -> None:
    gc.disable()  # it needs no garbage collector
    try:
        for _ in range(2):
            loader = Loader(Batches(20), device="cuda", **kind)
            list(itertools.islice(loader, taken))
            del loader
            assert eventually(lambda: gpu.live() == 2 and not worker_pids())
            assert _core.devices_alive() == 0
    finally:
        gc.enable()


@pytest.mark.parametrize("name", ["processes", "threads"])
def test_a_loader_that_is_closed_while_another_thread_waits_ends_that_wait(
    gpu: Gpu, name: str
) -> None:
    release = threading.Event()
    stuck = release.wait if name == "threads" else functools.partial(time.sleep, 60)
    outcome: list[object] = []

    def consume() -> None:
        try:
            for batch in loader:
                outcome.append(index_of(batch))
        except BaseException as error:
            outcome.append(type(error))

    source = Batches(20, lambda index: index == 3 and stuck())
    loader = Loader(source, device="cuda", **KINDS[name])
    consumer = threading.Thread(target=consume)
    consumer.start()
    assert eventually(lambda: len(outcome) == 3)
    loader.close()
    release.set()
    consumer.join()
    assert outcome == [0, 1, 2, LoaderClosed]


@each_kind
def test_closing_while_batches_are_on_their_way(gpu: Gpu, kind: dict[str, Any]) -> None:
    gpu.lib.sim_slowness(10_000)
    for taken in (0, 1, 4):
        loader = Loader(Batches(20), device="cuda", device_queue_size=4, **kind)
        kept = list(itertools.islice(loader, taken))
        loader.close()
        assert_same(kept, made_by_hand(Batches(20))[0][:taken])


def test_a_loader_may_be_closed_by_a_signal_handler_while_its_loop_waits(gpu: Gpu) -> None:
    source = Batches(20, functools.partial(sleep_from, 3))
    loader = Loader(source, device="cuda", workers=1)
    before = signal.signal(signal.SIGALRM, lambda *_: loader.close())
    try:
        with pytest.raises(LoaderClosed):
            for batch in loader:
                if index_of(batch) == 2:
                    signal.setitimer(signal.ITIMER_REAL, 0.05)
    finally:
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("name", ["processes", "threads"])
def test_a_loop_that_was_interrupted_in_its_wait_goes_on_and_the_next_one_is_whole(
    gpu: Gpu, name: str
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    source = Batches(10, lambda index: index == 4 and time.sleep(0.3))
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with Loader(source, device="cuda", **KINDS[name]) as loader:
            batches = iter(loader)
            assert indices(itertools.islice(batches, 4)) == [0, 1, 2, 3]
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(KeyboardInterrupt):
                next(batches)
            assert indices(batches) == [4, 5, 6, 7, 8, 9]
            for _ in range(2):
                assert indices(loader) == list(range(10))
    finally:
        signal.signal(signal.SIGALRM, before)


def test_interrupts_at_any_time_lose_nothing_of_the_next_epoch(
    gpu: Gpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(Exception):
        pass

    def interrupt(*_: object) -> None:
        raise Interrupted

    # Nothing written in Python may be interrupted in its own end.
    monkeypatch.setitem(arrays.DEVICE_IMPORTERS, "cupy", lambda: lambda tensor: tensor)
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with Loader(Batches(30), device="cuda", workers=2) as loader:
            interrupts = 0
            for place in range(20):
                try:
                    signal.setitimer(signal.ITIMER_REAL, 0.0005 * (place + 1))
                    for batch in loader:
                        del batch
                    signal.setitimer(signal.ITIMER_REAL, 0)
                except Interrupted:
                    interrupts += 1
                given = [index_of(SimulatedArray(gpu, numbers)) for numbers, _ in loader]
                assert given == list(range(30))
            assert interrupts > 3
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_two_loaders_at_once_do_not_disturb_each_other(gpu: Gpu) -> None:
    whole = made_by_hand(Batches(30))[0]
    shuffled = made_by_hand(Batches(20), epochs=2, shuffle=True, seed=5)
    with (
        Loader(Batches(30), device="cuda", workers=2) as one,
        Loader(Batches(20), device="cuda", workers=1, shuffle=True, seed=5) as two,
    ):
        for place, (a, b) in enumerate(zip(one, two, strict=False)):
            assert_same([a, b], [whole[place], shuffled[0][place]])
        assert indices(one) == list(range(30))
        assert_same(two, shuffled[1])


def test_two_loaders_on_two_gpus(gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    """The framework's stream is on the first one, so here only the numbers of GPUs are seen."""
    monkeypatch.setitem(arrays.DEVICE_IMPORTERS, "cupy", lambda: lambda tensor: tensor)
    with (
        Loader(Batches(10), device="cuda:0", workers=1) as one,
        Loader(Batches(10), device="cuda:1", workers=1) as two,
    ):
        seen = [
            (a[0].__dlpack_device__(), b[0].__dlpack_device__())
            for a, b in zip(one, two, strict=True)
        ]
        assert seen == [((2, 0), (2, 1))] * 10


@each_kind
def test_a_loop_over_an_exhausted_or_newer_loop_ends(gpu: Gpu, kind: dict[str, Any]) -> None:
    with Loader(Batches(6), device="cuda", **kind) as loader:
        one = iter(loader)
        next(one)
        two = iter(loader)
        assert indices(two) == list(range(6))
        assert next(two, None) is None
        with pytest.raises(FastFeedError, match="one loop at a time"):
            next(one)


def test_a_loader_is_used_in_a_thread_that_did_not_make_it(gpu: Gpu) -> None:
    with Loader(Batches(10), device="cuda", workers=2) as loader:
        given: list[list[int]] = []
        user = threading.Thread(target=lambda: given.append(indices(loader)))
        user.start()
        user.join()
        assert given == [list(range(10))]
        assert indices(loader) == list(range(10))


def test_loaders_in_several_threads_at_once(gpu: Gpu) -> None:
    given: list[list[int]] = []

    def use() -> None:
        with Loader(Batches(20), device="cuda", workers=1) as loader:
            given.append(indices(loader))

    threads = [threading.Thread(target=use) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert given == [list(range(20))] * 5


def test_a_loader_without_a_loop_and_one_that_only_waits(gpu: Gpu) -> None:
    Loader(Batches(4), device="cuda", workers=2).close()
    loader = Loader(Batches(30), device="cuda", workers=1)
    indices(itertools.islice(loader, 3))
    wait_until_ready(loader, 2)
    loader.close()
