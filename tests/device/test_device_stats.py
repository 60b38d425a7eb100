"""What `stats()` says of a simulated GPU, and uploads without page-locked slots."""

from __future__ import annotations

import itertools
import resource
import threading
import warnings
from typing import Any

import pytest
from device_support import (
    Batches,
    assert_same,
    each_kind,
    each_workers,
    indices,
    made_by_hand,
    of_many_sizes,
    wait_until_ready,
)
from leftovers import eventually
from simulated_gpu import EVERY_CALL, Gpu

from fastfeed import ArraySpec, Loader

OUT_OF_MEMORY = 2
REFUSED = 801
BATCH_BYTES = 8 * 2 * 8 + 8 * 50 + 48  # each array begins at a multiple of 64


class Filled:
    """A source that writes its batches into their slots, of which the shapes are known."""

    spec = (ArraySpec((8, 2), "int64"), ArraySpec((8, 50), "uint8"))

    def __len__(self) -> int:
        return 20

    def fill(self, index: int, out: Any, rng: Any) -> None:
        for part, array in zip(out, Batches(20)[index], strict=True):
            part[...] = array


def device_stats(loader: Loader) -> Any:
    found = loader.stats().device
    assert found is not None
    return found


@each_workers
def test_batches_from_page_locked_slots_are_never_copied_on_the_host(
    gpu: Gpu, kind: dict[str, Any]
) -> None:
    with Loader(Filled(), device="cuda", **kind) as loader:
        for _ in range(3):
            assert indices(loader) == list(range(20))
        stats = device_stats(loader)
        assert stats.host_copies == 0
        assert stats.pinned is True
        assert 60 <= stats.uploads <= 60 + 3  # what waits for the next epoch
        assert stats.upload_bytes == stats.uploads * BATCH_BYTES
        # Each batch crosses the bus once, and only so.
        assert eventually(lambda: gpu.calls("cuMemcpyHtoDAsync_v2") == device_stats(loader).uploads)
        assert gpu.calls("cuMemHostAlloc") == 0


@each_kind
def test_batches_that_lay_in_no_slot_are_counted_as_copies_on_the_host(
    gpu: Gpu, kind: dict[str, Any]
) -> None:
    with Loader(Batches(20), device="cuda", **kind) as loader:
        for _ in range(2):
            assert indices(loader) == list(range(20))
        assert 1 <= device_stats(loader).host_copies <= 2  # the first of each worker


def test_what_is_page_locked_is_what_is_registered(gpu: Gpu) -> None:
    with Loader(Filled(), device="cuda", workers=1, max_queue_size=3) as loader:
        stats = loader.stats()
        assert stats.slots == 3 + 2
        assert device_stats(loader).registered_bytes == stats.slots * stats.slot_bytes
        assert gpu.live("registered_bytes") == stats.slots * stats.slot_bytes
        assert device_stats(loader).register_seconds > 0
    assert gpu.live("registrations") == 0


@pytest.mark.filterwarnings("ignore:A batch of")
def test_larger_slots_are_page_locked_and_the_former_ones_let_go(gpu: Gpu) -> None:
    with Loader(
        Batches(15, rows=of_many_sizes), device="cuda", workers=2, max_queue_size=3
    ) as loader:
        for _ in range(2):
            indices(loader)
        stats = loader.stats()
        assert gpu.live("registered_bytes") == stats.slots * stats.slot_bytes
        assert device_stats(loader).registered_bytes > gpu.live("registered_bytes")
        assert gpu.calls("cuMemHostRegister_v2") > 1


def test_batches_that_wait_and_their_buffers_are_counted(gpu: Gpu) -> None:
    with Loader(Filled(), device="cuda", workers=1, device_queue_size=3) as loader:
        batches = iter(loader)
        first = next(batches)
        wait_until_ready(loader, 3)
        stats = device_stats(loader)
        assert stats.waiting == 3
        assert stats.buffers == gpu.live("device_allocations") >= 4
        assert stats.buffer_bytes == gpu.live("device_bytes")
        del first


def test_printed_stats_name_the_gpu_and_say_whether_slots_are_page_locked(gpu: Gpu) -> None:
    with Loader(Filled(), device="cuda:1", workers=1) as loader:
        list(itertools.islice(loader, 2))
        text = str(loader.stats())
        assert "device: cuda:1 Simulated GPU 1" in text
        assert "slots: page-locked" in text
        assert "0 with a copy on the host" in text
    with Loader(Batches(3), device="cuda", workers=1) as loader:
        assert "no slots yet" in str(loader.stats())
    with Loader(Filled(), workers=1) as loader:
        assert loader.stats().device is None
        assert "device" not in str(loader.stats())


@each_kind
def test_a_closed_loader_still_tells_its_totals(gpu: Gpu, kind: dict[str, Any]) -> None:
    with Loader(Batches(20), device="cuda", **kind) as loader:
        kept = list(loader)
        before = device_stats(loader)
    for _ in range(2):
        after = device_stats(loader)
        assert after.uploads >= before.uploads >= len(kept)
        assert after.upload_bytes == after.uploads * BATCH_BYTES
        assert (after.waiting, after.buffers, after.buffer_bytes) == (0, 0, 0)
        assert "page-locked" in str(loader.stats())
        loader.close()


def test_totals_can_be_read_while_another_thread_closes_the_loader(gpu: Gpu) -> None:
    for _ in range(5):
        loader = Loader(Batches(20), device="cuda", workers=1, use_multiprocessing=False)
        indices(itertools.islice(loader, 3))
        closing = threading.Thread(target=loader.close)
        closing.start()
        while closing.is_alive():
            assert device_stats(loader).uploads >= 3
        closing.join()
        assert device_stats(loader).uploads >= 3


# -- registration refused -------------------------------------------------------------------


@each_kind
@pytest.mark.filterwarnings("ignore:A batch of")
def test_where_page_locking_is_refused_that_is_said_once_and_batches_are_right(
    gpu: Gpu, kind: dict[str, Any]
) -> None:
    gpu.fail("cuMemHostRegister_v2", EVERY_CALL, OUT_OF_MEMORY)
    limit, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    allowed = "unlimited" if limit == resource.RLIM_INFINITY else "iB"
    source = Batches(15, rows=of_many_sizes)
    expected = made_by_hand(source)[0]
    with (
        warnings.catch_warnings(record=True) as warned,
        Loader(source, device="cuda", max_queue_size=3, **kind) as loader,
    ):
        warnings.simplefilter("always")
        for _ in range(2):
            assert_same(loader, expected)
        stats = device_stats(loader)
        assert stats.pinned is False
        assert stats.registered_bytes == gpu.live("registrations") == 0
        assert stats.host_copies == stats.uploads >= 30
        assert "NOT page-locked" in str(loader.stats())
    refused = [str(each.message) for each in warned if "page-lock" in str(each.message)]
    assert len(refused) == 1  # though slots were made again and again
    assert "cuMemHostRegister" in refused[0] and "CUDA_ERROR_OUT_OF_MEMORY" in refused[0]
    assert "ulimit -l" in refused[0] and allowed in refused[0]


def test_without_page_locked_slots_uploads_go_by_page_locked_memory_of_the_drivers(
    gpu: Gpu,
) -> None:
    gpu.fail("cuMemHostRegister_v2", EVERY_CALL, REFUSED)
    with (
        pytest.warns(UserWarning, match="refused to page-lock"),
        Loader(Filled(), device="cuda", workers=2) as loader,
    ):
        assert_same(loader, made_by_hand(Batches(20))[0])
        assert gpu.live("host_allocations") > 0
    assert gpu.live("host_allocations") == 0


@each_kind
def test_batches_are_right_where_nothing_at_all_can_be_page_locked(
    gpu: Gpu, kind: dict[str, Any]
) -> None:
    gpu.fail("cuMemHostRegister_v2", EVERY_CALL, OUT_OF_MEMORY)
    gpu.fail("cuMemHostAlloc", EVERY_CALL, OUT_OF_MEMORY)
    with (
        pytest.warns(UserWarning, match="refused to page-lock"),
        Loader(Batches(20), device="cuda", **kind) as loader,
    ):
        for _ in range(2):
            assert_same(loader, made_by_hand(Batches(20))[0])
        assert gpu.live("host_allocations") == 0
        stats = device_stats(loader)
        assert stats.host_copies == stats.uploads


@pytest.mark.filterwarnings("ignore:A batch of")
def test_slots_that_grow_may_be_refused_where_the_first_ones_were_not(gpu: Gpu) -> None:
    with Loader(
        Batches(15, rows=of_many_sizes), device="cuda", workers=1, max_queue_size=3
    ) as loader:
        batches = iter(loader)
        kept = [next(batches)]
        assert device_stats(loader).pinned
        gpu.fail("cuMemHostRegister_v2", EVERY_CALL, OUT_OF_MEMORY)
        with pytest.warns(UserWarning, match="refused to page-lock"):
            kept.extend(batches)
        assert device_stats(loader).pinned is False
        assert_same(kept, made_by_hand(Batches(15, rows=of_many_sizes))[0])
        assert gpu.live("registrations") == 0


@each_workers
def test_the_journal_knows_when_copies_began_and_ended(gpu: Gpu, kind: dict[str, Any]) -> None:
    with Loader(Batches(20), device="cuda", **kind) as loader:
        assert indices(loader) == list(range(20))
        assert eventually(lambda: loader.stats().device.waiting == 2)  # type: ignore[union-attr]
        records = loader._view().records()
    copied = records[records["upload_ns"] > 0]
    assert len(copied) >= 15  # the first ones come before their slots, and the consumer sends them
    assert (copied["made_ns"] <= copied["upload_ns"]).all()
    assert (copied["upload_ns"] <= copied["uploaded_ns"]).all()
    assert (records["uploaded_ns"][records["upload_ns"] == 0] == 0).all()


def test_who_waits_for_a_copy_waits_for_the_upload(gpu: Gpu) -> None:
    with Loader(Batches(8), device="cuda", workers=1, device_synchronise=True) as loader:
        assert indices(loader) == list(range(8))
        stats = loader.stats()
        records = loader._view().records()
    waits = records["answered_ns"] - records["asked_ns"]
    assert (records["upload_wait_ns"] <= waits).all()
    assert (records["upload_wait_ns"][records["upload_ns"] == 0] == 0).all()
    assert stats.upload_wait_seconds == pytest.approx(records["upload_wait_ns"].sum() / 1e9)
