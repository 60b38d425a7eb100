"""The driver fails while batches are on their way: the error at `next()`, and nothing is left."""

from __future__ import annotations

import gc
import threading
from typing import Any

import pytest
from device_support import KINDS, Batches, each_kind, each_workers, indices
from leftovers import eventually, worker_pids
from simulated_gpu import Gpu

from fastfeed import Loader
from fastfeed.devices import arrays
from fastfeed.errors import DeviceError, DeviceOutOfMemory

UNKNOWN = 999
ILLEGAL_ADDRESS = 700
FATAL = [
    "cuStreamCreate",
    "cuThreadExchangeStreamCaptureMode",
    "cuMemAlloc_v2",
    "cuMemcpyHtoDAsync_v2",
    "cuEventCreate",
    "cuStreamWaitEvent",
    "cuEventSynchronize",
    "cuEventQuery",
]
"""Calls without which batches cannot be uploaded."""
DISPENSABLE = ["cuStreamIsCapturing", "cuMemHostAlloc"]


def without_looking(gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have batches given to the framework's stream, but no call made for them by the framework."""
    stream = gpu.stream.value
    monkeypatch.setitem(
        arrays.DEVICE_IMPORTERS, "cupy", lambda: lambda tensor: tensor.__dlpack__(stream=stream)
    )


def first_error(**options: Any) -> tuple[str, int, str] | None:
    """Go through two epochs until the driver fails; return its call, its code and the message."""
    try:
        with Loader(Batches(30), device="cuda", max_queue_size=3, **options) as loader:
            for _ in range(2):
                for batch in loader:
                    del batch
    except DeviceError as error:
        return error.call, error.code, str(error)
    return None


def assert_as_new(gpu: Gpu) -> None:
    """See that only the framework's own context and stream are there, and a Loader works."""
    gc.collect()
    assert eventually(lambda: not worker_pids())
    assert gpu.live("contexts") == gpu.live("streams") == 1
    assert gpu.live() == 2
    with Loader(Batches(10), device="cuda", workers=1, use_multiprocessing=False) as loader:
        assert indices(loader) == list(range(10))
        assert loader.stats().device.pinned  # type: ignore[union-attr]


@pytest.mark.parametrize("nth", [1, 2, 3, 7])
@pytest.mark.parametrize("name", FATAL)
def test_a_call_that_fails_once_is_named_by_next_and_nothing_is_left(
    gpu: Gpu, monkeypatch: pytest.MonkeyPatch, name: str, nth: int
) -> None:
    with monkeypatch.context() as patched:
        without_looking(gpu, patched)
        gpu.fail(name, nth, UNKNOWN)
        found = first_error(**KINDS["threads"])
    calls = gpu.calls(name)
    gpu.fail(name, 0, 0)
    if found is None:
        assert calls <= nth or name == "cuThreadExchangeStreamCaptureMode"
    else:
        call, code, text = found
        assert (call, code) == (name.removesuffix("_v2"), UNKNOWN)
        assert f"{call} failed: CUDA_ERROR_UNKNOWN (999)" in text or f"{call}:" in text
    assert_as_new(gpu)


@pytest.mark.parametrize("nth", [1, 4])
@pytest.mark.parametrize("name", DISPENSABLE)
def test_a_call_that_can_be_done_without_may_fail(
    gpu: Gpu, monkeypatch: pytest.MonkeyPatch, name: str, nth: int
) -> None:
    with monkeypatch.context() as patched:
        without_looking(gpu, patched)
        gpu.fail(name, nth, UNKNOWN)
        assert first_error(**KINDS["threads"]) is None
    gpu.fail(name, 0, 0)
    assert_as_new(gpu)


@each_kind
@pytest.mark.parametrize("nth", [1, 2, 9])
def test_a_copy_that_cannot_be_started(gpu: Gpu, kind: dict[str, Any], nth: int) -> None:
    gpu.fail("cuMemcpyHtoDAsync_v2", nth, ILLEGAL_ADDRESS)
    found = first_error(**kind)
    assert found is not None
    call, code, text = found
    assert (call, code) == ("cuMemcpyHtoDAsync", ILLEGAL_ADDRESS)
    assert "CUDA_LAUNCH_BLOCKING=1" in text
    assert_as_new(gpu)


@each_workers
def test_the_error_of_the_upload_thread_comes_after_the_batches_before_it_and_stays(
    gpu: Gpu, kind: dict[str, Any]
) -> None:
    with Loader(Batches(30), device="cuda", device_queue_size=4, **kind) as loader:
        batches = iter(loader)
        given = [next(batches) for _ in range(3)]
        gpu.fail("cuMemcpyHtoDAsync_v2", 1, UNKNOWN)
        with pytest.raises(DeviceError):
            for batch in batches:
                given.append(batch)
        assert indices(given) == list(range(len(given)))
        for _ in range(2):  # neither the loop nor another one hangs
            with pytest.raises(DeviceError, match="cuMemcpyHtoDAsync"):
                next(batches)
            with pytest.raises(DeviceError, match="cuMemcpyHtoDAsync"):
                next(iter(loader))
            batches = iter(loader)
        assert "uploads" in str(loader.stats())
    del loader, batches, batch  # a loader keeps the context, though closed
    given.clear()
    assert_as_new(gpu)


@each_kind
@pytest.mark.parametrize("nth", [1, 2, 7])
@pytest.mark.parametrize("releases_report", [0, 1])
def test_a_copy_that_fails_on_the_device_ends_the_context_and_not_the_process(
    gpu: Gpu,
    monkeypatch: pytest.MonkeyPatch,
    kind: dict[str, Any],
    nth: int,
    releases_report: int,
) -> None:
    """Nothing works any more in that context; when everybody has let go of it, all does."""
    with monkeypatch.context() as patched:
        without_looking(gpu, patched)
        gpu.lib.sim_fail_copies(nth, ILLEGAL_ADDRESS, releases_report)
        found = first_error(**kind)
    assert found is not None
    assert found[1] == ILLEGAL_ADDRESS
    assert found[0].startswith("cu") and f"({ILLEGAL_ADDRESS})" in found[2]
    gc.collect()
    gpu.close()
    assert gpu.live() == 0
    gpu.lib.sim_fail_copies(0, 0, 0)
    gpu.open()
    assert_as_new(gpu)


def test_batches_that_are_kept_past_an_error_can_be_dropped(
    gpu: Gpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        without_looking(gpu, patched)
        kept = []
        with Loader(Batches(30), device="cuda", workers=2) as loader:
            batches = iter(loader)
            kept += [next(batches) for _ in range(4)]
            gpu.lib.sim_fail_copies(1, ILLEGAL_ADDRESS, 1)
            with pytest.raises(DeviceError):
                kept.extend(batches)
        del batches, loader
        kept.clear()
    gc.collect()
    gpu.close()
    assert gpu.live() == 0


def test_one_loaders_error_is_not_anothers(gpu: Gpu) -> None:
    with (
        Loader(Batches(30), device="cuda", workers=2) as one,
        Loader(Batches(30), device="cuda", workers=2) as two,
    ):
        assert indices(two) == list(range(30))
        list(zip(range(5), one, strict=False))
        gpu.fail("cuMemcpyHtoDAsync_v2", 1, UNKNOWN)
        batches = iter(one)
        with pytest.raises(DeviceError):
            for batch in batches:
                del batch
        del batches
        assert indices(two) == list(range(30))


def test_no_room_for_a_stream(gpu: Gpu) -> None:
    gpu.fail("cuStreamCreate", 1, 2)
    with pytest.raises(DeviceOutOfMemory, match="cuStreamCreate"):
        Loader(Batches(5), device="cuda", workers=2)
    assert_as_new(gpu)


def test_an_error_while_another_thread_drops_batches(gpu: Gpu) -> None:
    with Loader(Batches(30), device="cuda", workers=2) as loader:
        batches = iter(loader)
        kept = [next(batches) for _ in range(5)]
        gpu.fail("cuMemcpyHtoDAsync_v2", 1, UNKNOWN)
        dropper = threading.Thread(target=kept.clear)
        dropper.start()
        with pytest.raises(DeviceError):
            for batch in batches:
                del batch
        dropper.join()
    del loader, batches
    assert_as_new(gpu)
