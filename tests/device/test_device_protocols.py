"""DLPack and the CUDA array interface over a simulated GPU's batches; who waits for whom."""

from __future__ import annotations

import contextlib
import ctypes
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from device_support import (
    Batches,
    Fixed,
    assert_same,
    each_kind,
    each_workers,
    made_by_hand,
    wait_until_ready,
)
from simulated_gpu import Gpu, SimulatedArray, Tensor, api

from fastfeed import ArraySpec, Loader
from fastfeed.devices import arrays

WAITS = (
    "cuStreamSynchronize",
    "cuEventSynchronize",
    "cuCtxSynchronize",
    "cuMemcpyDtoH_v2",
)
LEGACY, THREADS_OWN = 1, 2
ARRAY = np.arange(6, dtype="float32").reshape(2, 3)


def waits_here(gpu: Gpu) -> int:
    """How often this thread has made the host wait for the device."""
    return sum(gpu.calls_here(name) for name in WAITS)


@pytest.fixture
def exporters(gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches are made of what fastfeed gives to a framework, as it is."""
    monkeypatch.setitem(arrays.DEVICE_IMPORTERS, "cupy", lambda: lambda tensor: tensor)


class Known:
    """Batches of which the shape is known, so that all of them lie in slots."""

    spec = ArraySpec((2, 3), "float32")

    def __len__(self) -> int:
        return 4

    def fill(self, index: int, out: Any, rng: Any) -> None:
        out[...] = ARRAY


@contextlib.contextmanager
def late_tensor(gpu: Gpu) -> Iterator[Any]:
    """Give an exporter of `ARRAY`, of which the copy lands when the device is not stalled."""
    with Loader(Known(), device="cuda", workers=1) as loader:
        gpu.stall(True)
        try:
            yield next(iter(loader))
        finally:
            gpu.stall(False)


# -- next() ---------------------------------------------------------------------------------


@each_workers
def test_next_does_not_wait_for_the_device_when_a_batch_is_ready(
    gpu: Gpu, kind: dict[str, Any]
) -> None:
    with Loader(Batches(20), device="cuda", **kind) as loader:
        batches = iter(loader)
        given = [next(batches) for _ in range(4)]  # those that come in memory of their own
        waits = waits_here(gpu)
        copies = gpu.calls_here("cuMemcpyHtoDAsync_v2")
        gpu.lib.sim_slowness(3000)
        for _ in range(10):
            wait_until_ready(loader)
            given.append(next(batches))
        assert waits_here(gpu) == waits
        assert gpu.calls_here("cuMemcpyHtoDAsync_v2") == copies
        assert gpu.calls_here("cuStreamWaitEvent") > 0  # the stream does
        given.extend(batches)
        assert_same(given, made_by_hand(Batches(20))[0])


def test_a_synchronised_batch_is_there_when_next_returns(gpu: Gpu) -> None:
    expected = made_by_hand(Batches(10))[0]
    with Loader(Batches(10), device="cuda", workers=2, device_synchronise=True) as loader:
        gpu.lib.sim_slowness(3000)
        for place, batch in enumerate(loader):
            for array, wanted in zip(batch, expected[place], strict=True):
                here = ctypes.create_string_buffer(wanted.nbytes)
                with gpu:  # read without waiting for any stream of ours or the framework's
                    gpu.call("cuMemcpyDtoH_v2", here, array.data, wanted.nbytes)
                assert here.raw == wanted.tobytes()
        assert gpu.calls_here("cuEventSynchronize") > 0


@each_kind
def test_synchronised_epochs_are_the_same(gpu: Gpu, kind: dict[str, Any]) -> None:
    with Loader(Batches(10), device="cuda", device_synchronise=True, **kind) as loader:
        for _ in range(2):
            assert_same(loader, made_by_hand(Batches(10))[0])


# -- DLPack ---------------------------------------------------------------------------------


def test_the_device_is_told_with_its_number(gpu: Gpu, exporters: None) -> None:
    for ordinal in (0, 1):
        with Loader(Fixed(np.arange(3)), device=f"cuda:{ordinal}", workers=0) as loader:
            batch = next(iter(loader))
            assert batch.__dlpack_device__() == (2, ordinal)
            del batch


def test_the_consumers_stream_waits_for_the_copy_and_the_host_does_not(
    gpu: Gpu, exporters: None
) -> None:
    with late_tensor(gpu) as tensor:
        array = SimulatedArray(gpu, tensor)
        found = array.kernel(10)
        assert waits_here(gpu) == 0
        assert gpu.calls_here("cuStreamWaitEvent") == 1
        gpu.stall(False)
        gpu.synchronise()
        assert found.value == gpu.checksum(ARRAY.tobytes())


@pytest.mark.parametrize("stream", [None, LEGACY, THREADS_OWN])
def test_default_streams_by_their_numbers(gpu: Gpu, exporters: None, stream: int | None) -> None:
    reader = ctypes.c_void_p(stream or LEGACY)
    with late_tensor(gpu) as tensor:
        capsule = tensor.__dlpack__(stream=stream)
        found = ctypes.c_uint64()
        address = Tensor.from_address(api.PyCapsule_GetPointer(capsule, b"dltensor")).data
        with gpu:
            gpu.call("sim_kernel_read", reader, address, 24, 2000, ctypes.byref(found))
        assert waits_here(gpu) == 0
        gpu.stall(False)
        gpu.synchronise(reader)
        assert found.value == gpu.checksum(ARRAY.tobytes())


def test_minus_one_leaves_the_waiting_to_the_consumer(gpu: Gpu, exporters: None) -> None:
    with late_tensor(gpu) as tensor:
        capsule = tensor.__dlpack__(stream=-1)
        assert "dltensor" in repr(capsule)
        assert waits_here(gpu) + gpu.calls_here("cuStreamWaitEvent") == 0


@pytest.mark.parametrize("stream", [0, -2])
def test_streams_that_dlpack_does_not_have_are_refused(
    gpu: Gpu, exporters: None, stream: int
) -> None:
    with late_tensor(gpu) as tensor, pytest.raises(BufferError, match=f"no stream {stream}"):
        tensor.__dlpack__(stream=stream)


def test_copies_and_other_devices_are_refused(gpu: Gpu, exporters: None) -> None:
    with late_tensor(gpu) as tensor:
        with pytest.raises(BufferError, match="as they are"):
            tensor.__dlpack__(copy=True)
        for other in ((1, 0), (2, 1)):
            with pytest.raises(BufferError, match="lies on"):
                tensor.__dlpack__(dl_device=other)
        capsules = [
            tensor.__dlpack__(copy=False),
            tensor.__dlpack__(dl_device=(2, 0)),
            tensor.__dlpack__(max_version=(1, 0)),
        ]
        assert all("dltensor" in repr(capsule) for capsule in capsules)


def test_a_capsule_that_nobody_takes_and_one_that_outlives_its_loader(
    gpu: Gpu, exporters: None
) -> None:
    with Loader(Fixed(np.arange(3), np.arange(3)), device="cuda", workers=1) as loader:
        first, second = loader
        first.__dlpack__(stream=gpu.stream.value)
        array = SimulatedArray(gpu, second)
        del first, second
    del loader
    np.testing.assert_array_equal(np.asarray(array), np.arange(3))


# -- the CUDA array interface ---------------------------------------------------------------


def test_the_cuda_array_interface_describes_the_array_and_its_bytes_are_there(
    gpu: Gpu, exporters: None
) -> None:
    with late_tensor(gpu) as tensor:
        land = threading.Timer(0.1, gpu.stall, [False])
        land.start()
        described = tensor.__cuda_array_interface__
        assert gpu.calls_here("cuEventSynchronize") == 1
        land.join()
        address, read_only = described.pop("data")
        assert described == {
            "version": 3,
            "shape": (2, 3),
            "typestr": "<f4",
            "strides": None,
            "stream": None,
        }
        assert read_only is False
        here = ctypes.create_string_buffer(24)
        with gpu:
            gpu.call("cuMemcpyDtoH_v2", here, address, 24)
        assert here.raw == ARRAY.tobytes()


@pytest.mark.parametrize("name", ["bool", "int8", "uint16", "float16", "float64", "complex64"])
def test_typestrings_are_those_of_numpy(gpu: Gpu, exporters: None, name: str) -> None:
    array = np.ones(4, name)
    with Loader(Fixed(array), device="cuda", workers=0) as loader:
        (batch,) = loader
        assert batch.__cuda_array_interface__["typestr"] == array.__array_interface__["typestr"]
        del batch


def test_the_cuda_array_interface_has_no_bfloat16(gpu: Gpu, exporters: None) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    with Loader(Fixed(np.ones(4, ml_dtypes.bfloat16)), device="cuda", workers=0) as loader:
        (batch,) = loader
        with pytest.raises(BufferError, match="bfloat16; use DLPack"):
            _ = batch.__cuda_array_interface__
        del batch


def test_a_buffer_that_was_read_by_nobody_knows_whom_is_not_written_under_the_readers(
    gpu: Gpu, exporters: None
) -> None:
    """Who reads by the CUDA array interface does so on streams that fastfeed is not told of."""
    sums = []
    with Loader(Batches(20), device="cuda", workers=2, device_queue_size=1) as loader:
        for batch in loader:
            address = batch[1].__cuda_array_interface__["data"][0]
            sums.append(ctypes.c_uint64())
            with gpu:
                gpu.call("sim_kernel_read", gpu.stream, address, 400, 3000, ctypes.byref(sums[-1]))
            del batch
        gpu.synchronise()
    expected = [gpu.checksum(noise.tobytes()) for _, noise in made_by_hand(Batches(20))[0]]
    assert [found.value for found in sums] == expected
