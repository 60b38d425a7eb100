"""Copies to a device, reduced to what the parts that measure them need.

`Cuda` is the real one, through CuPy. `Rehearsed` copies within host memory: it is for trying the
parts where there is no GPU.
"""

from __future__ import annotations

import time
from typing import Any, Protocol

import numpy as np

PORTABLE = 1  # cudaHostRegisterPortable, the flag that fastfeed uses
TO_DEVICE, TO_HOST = 1, 2  # of cudaMemcpyKind


def address_of(buffer: Any) -> int:
    """Return where a buffer lies."""
    return int(np.frombuffer(buffer, np.uint8).ctypes.data)


class Device(Protocol):
    """Memory and one stream."""

    def memory(self, size: int) -> Any: ...
    def page_locked(self, size: int) -> Any: ...
    def register(self, address: int, size: int) -> None: ...
    def unregister(self, address: int) -> None: ...
    def copy(self, target: Any, address: int, size: int) -> None: ...
    def wait(self) -> None: ...
    def read(self, target: Any, size: int) -> np.ndarray: ...


class Cuda:
    """Device 0 through CuPy's runtime."""

    def __init__(self) -> None:
        import cupy

        self._cuda = cupy.cuda
        self._cuda.runtime.setDevice(0)
        self._stream = cupy.cuda.Stream(non_blocking=True)

    def memory(self, size: int) -> Any:
        """Return device memory."""
        return self._cuda.alloc(size)

    def page_locked(self, size: int) -> Any:
        """Return host memory of cuMemHostAlloc, as a buffer."""
        return self._cuda.alloc_pinned_memory(size)

    def register(self, address: int, size: int) -> None:
        """Page-lock host memory."""
        self._cuda.runtime.hostRegister(address, size, PORTABLE)

    def unregister(self, address: int) -> None:
        """Undo that."""
        self._cuda.runtime.hostUnregister(address)

    def copy(self, target: Any, address: int, size: int) -> None:
        """Start a copy to the device."""
        self._cuda.runtime.memcpyAsync(target.ptr, address, size, TO_DEVICE, self._stream.ptr)

    def wait(self) -> None:
        """Wait for all copies."""
        self._stream.synchronize()

    def read(self, target: Any, size: int) -> np.ndarray:
        """Return what lies in device memory."""
        host = np.empty(size, np.uint8)
        self._cuda.runtime.memcpyAsync(
            host.ctypes.data, target.ptr, size, TO_HOST, self._stream.ptr
        )
        self.wait()
        return host


class Rehearsed:
    """The same with host memory."""

    def memory(self, size: int) -> np.ndarray:
        return np.empty(size, np.uint8)

    page_locked = memory

    def register(self, address: int, size: int) -> None:
        """Page-lock nothing."""

    def unregister(self, address: int) -> None:
        """Undo nothing."""

    def copy(self, target: np.ndarray, address: int, size: int) -> None:
        """Copy at once."""
        target[:size] = from_address(address, size)

    def wait(self) -> None:
        """Everything is done already."""

    def read(self, target: np.ndarray, size: int) -> np.ndarray:
        return target[:size].copy()


def from_address(address: int, size: int) -> np.ndarray:
    """Return an array over memory that somebody else keeps."""
    import ctypes

    return np.frombuffer((ctypes.c_char * size).from_address(address), np.uint8)


def open_device(name: str) -> Device:
    """Return the device of a run's settings."""
    return Cuda() if name == "cuda" else Rehearsed()


def copy_rate(device: Device, target: Any, source: int, total: int, size: int) -> float:
    """Return bytes a second of copies of `size` each, from all of `total` bytes at `source`."""
    device.wait()
    begin = time.perf_counter()
    copied = 0
    while copied + size <= total:
        device.copy(target, source + copied, size)
        copied += size
    device.wait()
    return copied / (time.perf_counter() - begin)
