"""How long batches on a simulated GPU stay right: kept, dropped early, dropped elsewhere."""

from __future__ import annotations

import ctypes
import gc
import itertools
import threading
from typing import Any

import numpy as np
import pytest
from device_support import (
    Batches,
    assert_same,
    each_kind,
    index_of,
    indices,
    made_by_hand,
    wait_until_ready,
)
from leftovers import eventually
from simulated_gpu import NON_BLOCKING, Gpu, SimulatedArray

from fastfeed import Loader, _core
from fastfeed.devices.uploads import HANDED_OUT


@each_kind
def test_a_batch_that_is_kept_stays_right_across_epochs_and_after_the_end(
    gpu: Gpu, kind: dict[str, Any]
) -> None:
    expected = made_by_hand(Batches(10))[0]
    with Loader(Batches(10), device="cuda", **kind) as loader:
        kept = [next(iter(loader))]
        for epoch in range(3):
            kept.append(next(itertools.islice(loader, epoch, None)))
            assert indices(loader) == list(range(10))
        assert_same(kept, [expected[0], *expected[:3]])
    del loader
    gc.collect()
    assert_same(kept, [expected[0], *expected[:3]])
    assert _core.devices_alive() > 0  # they keep their memory


@each_kind
@pytest.mark.parametrize("queue", [1, 3])
def test_all_batches_can_be_kept_and_the_memory_goes_with_them(
    gpu: Gpu, kind: dict[str, Any], queue: int
) -> None:
    expected = made_by_hand(Batches(40))[0]
    with Loader(
        Batches(40), device="cuda", device_queue_size=queue, max_queue_size=3, **kind
    ) as loader:
        kept = list(loader)
        assert_same(kept, expected)
        stats = loader.stats().device
        assert stats is not None and stats.buffers >= 40
        del kept
        assert len(indices(loader)) == 40
        stats = loader.stats().device
        assert stats is not None
        # As many as usually exist may be in use, and as many again free.
        assert stats.buffers <= 2 * (queue + HANDED_OUT)
        assert gpu.live("device_allocations") == stats.buffers
        assert gpu.live("device_bytes") == stats.buffer_bytes


def test_a_loop_that_drops_its_batches_needs_few_buffers(gpu: Gpu) -> None:
    with Loader(Batches(40), device="cuda", workers=2) as loader:
        for _ in range(3):
            for batch in loader:
                index_of(batch)
                assert loader.stats().device.buffers <= 2 + HANDED_OUT + 1  # type: ignore[union-attr]


@each_kind
@pytest.mark.parametrize("queue", [1, 2])
@pytest.mark.parametrize("ordered", [True, False])
def test_slow_kernels_read_batches_that_were_dropped_at_once(
    gpu: Gpu, kind: dict[str, Any], queue: int, ordered: bool
) -> None:
    expected = {index_of(batch): batch for batch in made_by_hand(Batches(20))[0]}
    order: list[int] = []
    sums = []
    with Loader(
        Batches(20), device="cuda", device_queue_size=queue, ordered=ordered, **kind
    ) as loader:
        for numbers, noise in loader:
            order.append(int(np.asarray(numbers).flat[0]))
            sums.append(noise.kernel(3000))
            del numbers, noise
        gpu.synchronise()
        assert gpu.violations() == []
        assert sorted(order) == list(range(20))
        for index, found in zip(order, sums, strict=True):
            assert found.value == gpu.checksum(expected[index][1].tobytes())


def test_a_kernel_outlives_the_batch_the_loop_and_the_loader(gpu: Gpu) -> None:
    expected = made_by_hand(Batches(3))[0]
    with Loader(Batches(3), device="cuda", workers=1) as loader:
        sums = [noise.kernel(20_000) for _, noise in loader]
    del loader
    gc.collect()
    gpu.synchronise()
    assert [found.value for found in sums] == [
        gpu.checksum(noise.tobytes()) for _, noise in expected
    ]


def test_one_array_keeps_the_whole_batch(gpu: Gpu) -> None:
    expected = made_by_hand(Batches(12))[0]
    kept: list[SimulatedArray] = []
    with Loader(Batches(12), device="cuda", workers=2) as loader:
        for place, batch in enumerate(loader):
            kept.append(batch[place % 2])
        assert indices(loader) == list(range(12))
        for place, array in enumerate(kept):
            np.testing.assert_array_equal(np.asarray(array), expected[place][place % 2])


def test_batches_may_be_dropped_in_another_thread_while_kernels_read_them(gpu: Gpu) -> None:
    expected = made_by_hand(Batches(30))[0]
    sums = []
    with Loader(Batches(30), device="cuda", workers=2) as loader:
        given: list[Any] = []
        there = threading.Condition()

        def drop() -> None:
            for _ in range(30):
                with there:
                    there.wait_for(lambda: given)
                    batch = given.pop()
                del batch

        dropper = threading.Thread(target=drop)
        dropper.start()
        for batch in loader:
            sums.append(batch[1].kernel(500))
            with there:
                given.append(batch)
                del batch
                there.notify()
        dropper.join()
        gpu.synchronise()
    assert [found.value for found in sums] == [
        gpu.checksum(noise.tobytes()) for _, noise in expected
    ]


def test_a_batch_that_is_used_on_two_streams_is_written_again_after_both(gpu: Gpu) -> None:
    expected = made_by_hand(Batches(20))[0]
    other, first = ctypes.c_void_p(), gpu.stream
    with gpu:
        gpu.call("cuStreamCreate", ctypes.byref(other), NON_BLOCKING)
    sums = []
    try:
        with Loader(Batches(20), device="cuda", workers=2) as loader:
            for numbers, noise in loader:
                gpu.stream = first
                sums.append(noise.kernel(200))
                gpu.stream = other
                again = SimulatedArray(gpu, noise.producer)
                sums.append(again.kernel(4000))
                gpu.stream = first
                del numbers, noise, again
            gpu.synchronise(other)
            gpu.synchronise(first)
    finally:
        gpu.stream = first
        with gpu:
            gpu.call("cuStreamDestroy_v2", other)
    wanted = [gpu.checksum(noise.tobytes()) for _, noise in expected for _ in range(2)]
    assert [found.value for found in sums] == wanted


def test_a_batch_is_given_to_a_second_thread_with_a_stream_of_its_own(gpu: Gpu) -> None:
    """The thread that dropped it last is not the one whose stream reads."""
    expected = made_by_hand(Batches(10))[0]
    with Loader(Batches(10), device="cuda", workers=2) as loader:
        batches = iter(loader)
        found: list[int] = []

        def use() -> None:
            for batch in batches:
                found.append(index_of(batch))
                np.testing.assert_array_equal(np.asarray(batch[1]), expected[found[-1]][1])

        for _ in range(3):
            found.append(index_of(next(batches)))
        thread = threading.Thread(target=use)
        thread.start()
        thread.join()
        assert found == list(range(10))


def test_batches_that_nobody_took_go_with_the_loader(gpu: Gpu) -> None:
    loader = Loader(Batches(10), device="cuda", workers=2, device_queue_size=4)
    indices(itertools.islice(loader, 4))  # those that come in memory of their own among them
    wait_until_ready(loader, 4)
    assert gpu.live("device_allocations") >= 4
    loader.close()
    del loader
    gc.collect()
    assert eventually(lambda: gpu.live("device_allocations") == 0)
    assert gpu.live("registrations") == 0
