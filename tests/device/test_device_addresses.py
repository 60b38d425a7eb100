"""`stable_addresses` on a simulated GPU: fixed buffers in turn, for CUDA graphs."""

from __future__ import annotations

import itertools
import signal
import threading
import time
from typing import Any

import numpy as np
import pytest
from device_support import (
    Batches,
    Fixed,
    assert_same,
    each_kind,
    each_workers,
    host,
    index_of,
    indices,
    made_by_hand,
    of_many_sizes,
    raise_at,
)
from simulated_gpu import Gpu

from fastfeed import Loader
from fastfeed.devices import uploads
from fastfeed.errors import ArgumentError, DeviceError, LoaderClosed


def stable(source: Any, queue: int = 2, **options: Any) -> Loader:
    return Loader(source, device="cuda", stable_addresses=True, device_queue_size=queue, **options)


@each_kind
@pytest.mark.parametrize("queue", [2, 5])
def test_batches_lie_at_the_same_addresses_in_turn(
    gpu: Gpu, kind: dict[str, Any], queue: int
) -> None:
    expected = made_by_hand(Batches(13))[0]
    with stable(Batches(13), queue, **kind) as loader:
        addresses = []
        for epoch in range(3):
            place = 0
            for batch in loader:
                assert_same([batch], [expected[place]])
                addresses.append((batch[0].data, batch[1].data))
                place += 1
                del batch
            assert place == 13, epoch
        assert len(set(addresses)) == queue
        for one, other in itertools.pairwise(range(0, len(addresses) - queue, queue)):
            assert addresses[one : one + queue] == addresses[other : other + queue]
        assert gpu.live("device_allocations") == queue


@each_workers
def test_slow_kernels_read_fixed_buffers_that_were_dropped_at_once(
    gpu: Gpu, kind: dict[str, Any]
) -> None:
    with stable(Batches(20), **kind) as loader:
        kernels = 0
        for batch in loader:
            batch[1].kernel(2000)
            kernels += 1
            del batch
        gpu.synchronise()
    assert kernels == 20
    assert gpu.violations() == []  # no kernel has seen its array change


@each_workers
def test_loops_that_are_left_and_exceptions_do_not_lose_a_buffer(
    gpu: Gpu, kind: dict[str, Any]
) -> None:
    with stable(Batches(10, raise_at(4)), **kind) as loader:
        for taken in (0, 1, 3):
            assert indices(itertools.islice(loader, taken)) == list(range(taken))
            batches = iter(loader)
            assert indices(itertools.islice(batches, 4)) == [0, 1, 2, 3]
            with pytest.raises(KeyError, match="item 4"):
                next(batches)
            assert indices(batches) == [5, 6, 7, 8, 9]


def test_one_buffer_is_refused(gpu: Gpu) -> None:
    with pytest.raises(ArgumentError, match=r"device_queue_size=2 or more.*Received: .*=1"):
        stable(Batches(5), 1, workers=1)


@each_kind
def test_keeping_more_batches_than_there_are_buffers_is_an_error_after_a_while(
    gpu: Gpu, kind: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "PATIENCE_S", 0.3)
    with stable(Batches(10), **kind) as loader:
        batches = iter(loader)
        kept = [next(batches), next(batches)]
        for _ in range(2):
            begin = time.monotonic()
            with pytest.raises(DeviceError, match=r"still referenced.*raise device_queue_size"):
                next(batches)
            assert time.monotonic() - begin > 0.3  # each time anew
        assert_same(kept, made_by_hand(Batches(10))[0][:2])
        kept.clear()
        found = indices(batches)  # and on it goes
        assert found == list(range(10))[-len(found) :] and len(found) >= 7


def test_a_loop_waits_for_a_buffer_that_another_thread_drops(gpu: Gpu) -> None:
    with stable(Batches(10), workers=2) as loader:
        batches = iter(loader)
        kept = [next(batches), next(batches)]
        drop = threading.Timer(0.2, kept.clear)
        drop.start()
        assert index_of(next(batches)) == 2
        drop.join()
        assert indices(batches) == list(range(3, 10))


def test_keeping_one_batch_of_three_buffers_goes_on_only_until_its_turn(
    gpu: Gpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "PATIENCE_S", 0.3)
    with stable(Batches(10), 3, workers=2) as loader:
        batches = iter(loader)
        kept = next(batches)
        assert indices(itertools.islice(batches, 2)) == [1, 2]
        with pytest.raises(DeviceError, match="still referenced"):
            next(batches)
        assert index_of(kept) == 0


@each_kind
@pytest.mark.filterwarnings("ignore:A batch of")
def test_a_batch_that_is_larger_than_the_buffers_is_refused(gpu: Gpu, kind: dict[str, Any]) -> None:
    with stable(Batches(5, rows=of_many_sizes), **kind) as loader:
        batches = iter(loader)
        assert index_of(next(batches)) == 0
        with pytest.raises(DeviceError, match=r"stable_addresses.*first one's size.*Give the sou"):
            next(batches)


def test_smaller_batches_fit(gpu: Gpu) -> None:
    big, small = np.arange(5000), np.arange(7)
    with stable(Fixed(big, small, big, small, small), workers=2) as loader:
        for _ in range(2):
            shapes = []
            for batch in loader:
                shapes.append(batch.shape)
                np.testing.assert_array_equal(host(batch), np.arange(batch.shape[0]))
                del batch
            assert shapes == [(5000,), (7,), (5000,), (7,), (7,)]


def test_closing_a_loader_that_lacks_a_buffer_ends_at_once_and_its_batches_stay(gpu: Gpu) -> None:
    loader = stable(Batches(10), workers=2)
    batches = iter(loader)
    kept = [next(batches), next(batches)]
    loader.close()
    assert_same(kept, made_by_hand(Batches(10))[0][:2])


@pytest.mark.parametrize("closes", ["another thread", "a signal handler"])
def test_a_loader_can_be_closed_while_its_loop_lacks_a_buffer(gpu: Gpu, closes: str) -> None:
    loader = stable(Batches(10), workers=3, use_multiprocessing=False)
    batches = iter(loader)
    kept = [next(batches), next(batches)]
    timer = threading.Timer(0.3, loader.close)
    before = signal.signal(signal.SIGALRM, lambda *_: loader.close())
    try:
        if closes == "another thread":
            timer.start()
        else:
            signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(LoaderClosed):
            next(batches)
    finally:
        signal.signal(signal.SIGALRM, before)
    if closes == "another thread":
        timer.join()
    assert_same(kept, made_by_hand(Batches(10))[0][:2])
