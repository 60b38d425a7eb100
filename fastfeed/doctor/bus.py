"""How fast batches get to the GPU, measured with the driver's own calls.

They are made through ctypes, from the library that the core has opened already, so that neither
CuPy nor a framework has to be installed, or has to work.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from fastfeed._core import Device, Segment
from fastfeed.devices.cuda import LIBRARY_VARIABLE
from fastfeed.doctor.finding import Finding, Status
from fastfeed.errors import DeviceError, device_error

PIECE = 32 << 20
"""Bytes a copy: of a large batch."""
SECONDS = 0.2
"""Of each of the two measurements."""
IN_A_ROW = 4
NON_BLOCKING = 1
GB = 1e9
PICTURES_GB = 32 * 224 * 224 * 3 / GB


class Driver:
    """The driver's functions, in a device's context."""

    def __init__(self, device: Device) -> None:
        self._library = ctypes.CDLL(os.environ.get(LIBRARY_VARIABLE) or "libcuda.so.1")
        self.ordinal = device.ordinal

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function.

        Raises
        ------
        DeviceError
            It returned an error.
        """
        code = getattr(self._library, name)(*arguments)
        if code:
            text = ctypes.c_char_p()
            self._library.cuGetErrorString(code, ctypes.byref(text))
            raise device_error(name, code, (text.value or b"unknown").decode(errors="replace"))

    def count(self) -> int:
        """Return how many GPUs CUDA_VISIBLE_DEVICES shows."""
        number = ctypes.c_int()
        self.call("cuDeviceGetCount", ctypes.byref(number))
        return number.value

    def memory_bytes(self) -> tuple[int, int]:
        """Return free and total device memory."""
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        self.call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
        return free.value, total.value

    @contextmanager
    def memory(self, size: int) -> Iterator[ctypes.c_uint64]:
        """Give device memory."""
        pointer = ctypes.c_uint64()
        self.call("cuMemAlloc_v2", ctypes.byref(pointer), ctypes.c_size_t(size))
        try:
            yield pointer
        finally:
            self.call("cuMemFree_v2", pointer)

    @contextmanager
    def stream(self) -> Iterator[ctypes.c_void_p]:
        """Give a stream that waits for no other."""
        stream = ctypes.c_void_p()
        self.call("cuStreamCreate", ctypes.byref(stream), NON_BLOCKING)
        try:
            yield stream
        finally:
            self.call("cuStreamDestroy_v2", stream)


@contextmanager
def opened(device: Device) -> Iterator[Driver]:
    """Make the device's primary context, which `device` holds, current in this thread."""
    driver = Driver(device)
    context, handle = ctypes.c_void_p(), ctypes.c_int()
    driver.call("cuDeviceGet", ctypes.byref(handle), device.ordinal)
    driver.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), handle)
    try:
        driver.call("cuCtxPushCurrent_v2", context)
        try:
            yield driver
        finally:
            driver.call("cuCtxPopCurrent_v2", ctypes.byref(ctypes.c_void_p()))
    finally:
        driver.call("cuDevicePrimaryCtxRelease_v2", handle)


def copies_to_gpu(driver: Driver, slots: Segment | None) -> Finding:
    """Measure copies from page-locked slots, where there are some, and from ordinary memory."""
    try:
        with driver.memory(PIECE) as target, driver.stream() as stream:
            ordinary = _gb_per_s(driver, target, np.ones(PIECE, np.uint8), stream)
            locked = None
            if slots is not None:
                locked = _gb_per_s(driver, target, np.frombuffer(slots, np.uint8), stream)
    except DeviceError as error:
        return Finding(
            "copies to GPU", Status.WARNING, "failed", {"error": str(error)}, str(error),
            "See with nvidia-smi who uses the GPU, and whether it reports errors.",
        )  # fmt: skip
    values = {
        "page_locked_gb_per_s": None if locked is None else round(locked, 2),
        "pageable_gb_per_s": round(ordinary, 2),
    }
    seen = "" if locked is None else f"{locked:.1f} GB/s page-locked, "
    best = ordinary if locked is None else locked
    return Finding(
        "copies to GPU", Status.OK, f"{seen}{ordinary:.1f} GB/s pageable", values,
        f"At most {best / PICTURES_GB:,.0f} batches/s of 32x224x224x3 uint8 "
        f"({1000 * PICTURES_GB:.1f} MB).",
    )  # fmt: skip


def _gb_per_s(
    driver: Driver, target: ctypes.c_uint64, source: np.ndarray, stream: ctypes.c_void_p
) -> float:
    """Copy for a while, several times in a row before the host waits."""

    def copy(times: int) -> None:
        for _ in range(times):
            address = ctypes.c_void_p(source.ctypes.data)
            driver.call(
                "cuMemcpyHtoDAsync_v2", target, address, ctypes.c_size_t(source.nbytes), stream
            )
        driver.call("cuStreamSynchronize", stream)

    copy(1)
    begin = time.perf_counter()
    copied = 0
    while time.perf_counter() < begin + SECONDS:
        copy(IN_A_ROW)
        copied += IN_A_ROW
    return float(copied * source.nbytes / GB / (time.perf_counter() - begin))
