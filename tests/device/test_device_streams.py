"""Batches that are used on streams of which nobody was told: `Loader.record_stream`."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from simulated_gpu import NON_BLOCKING, Gpu

import fastfeed
from fastfeed.errors import ArgumentError

BATCHES = 30
BYTES = 4096


class Blocks:
    """Each batch one array, filled with its index."""

    def __len__(self) -> int:
        return BATCHES

    def __getitem__(self, index: int) -> np.ndarray:
        return np.full(BYTES, index, "uint8")


class View:
    """As much of an array as record_stream looks at."""

    def __init__(self, array: Any) -> None:
        self.__cuda_array_interface__ = {"data": (array.data, False)}


@pytest.fixture
def other(gpu: Gpu) -> Iterator[ctypes.c_void_p]:
    """A second stream of the framework's."""
    stream = ctypes.c_void_p()
    with gpu:
        gpu.call("cuStreamCreate", ctypes.byref(stream), NON_BLOCKING)
    yield stream
    with gpu:
        gpu.call("cuStreamDestroy_v2", stream)


def start_kernel(gpu: Gpu, stream: ctypes.c_void_p, array: Any) -> ctypes.c_uint64:
    checksum = ctypes.c_uint64()
    with gpu:
        gpu.call("sim_kernel_read", stream, array.data, BYTES, 500, ctypes.byref(checksum))
    return checksum


def checksum_of(gpu: Gpu, index: int) -> int:
    gpu.lib.sim_checksum.restype = ctypes.c_uint64
    return int(gpu.lib.sim_checksum(bytes([index]) * BYTES, ctypes.c_size_t(BYTES)))


def test_a_recorded_stream_waits_for_the_bytes_and_the_buffer_for_the_stream(
    gpu: Gpu, other: ctypes.c_void_p
) -> None:
    with fastfeed.Loader(Blocks(), workers=2, device="cuda", use_multiprocessing=False) as loader:
        checksums = []
        for array in loader:
            loader.record_stream((View(array), "a text"), other.value)
            checksums.append(start_kernel(gpu, other, array))
            del array  # the next upload may have the buffer, once the kernel is done
        with gpu:
            gpu.call("cuStreamSynchronize", other)
    assert [each.value for each in checksums] == [checksum_of(gpu, i) for i in range(BATCHES)]


def test_without_it_the_simulation_sees_the_mistake(gpu: Gpu, other: ctypes.c_void_p) -> None:
    with fastfeed.Loader(Blocks(), workers=2, device="cuda", use_multiprocessing=False) as loader:
        checksums = [start_kernel(gpu, other, array) for array in loader]
        with gpu:
            gpu.call("cuStreamSynchronize", other)
    assert len(checksums) == BATCHES
    assert gpu.violations()
    gpu.forgive()


def test_arrays_that_are_none_of_the_loaders_are_refused(gpu: Gpu) -> None:
    with fastfeed.Loader(Blocks(), workers=1, device="cuda") as loader:
        array = next(iter(loader))
        loader.record_stream(View(array), 1)
        for foreign in (np.zeros(3), ["a text"], ()):
            with pytest.raises(ArgumentError, match="No array of this batch lies in a buffer"):
                loader.record_stream(foreign, 1)
        for stream in ("first", -1, 1.5, None, True):
            with pytest.raises(ArgumentError, match="stream must be a stream of CuPy's"):
                loader.record_stream(View(array), stream)


def test_batches_in_host_memory_have_no_streams() -> None:
    with fastfeed.Loader(Blocks(), workers=1) as loader:
        batch = next(iter(loader))
        with pytest.raises(ArgumentError, match="lie in host memory"):
            loader.record_stream(batch, 1)
