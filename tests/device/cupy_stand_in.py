"""As much of CuPy as `device_transform` uses, over the simulated driver's memory and streams.

What a transform does is enqueued on its stream, late and asynchronously, so a buffer that is
written too early, or given away too soon, is seen.
"""

from __future__ import annotations

import ctypes
import types
from typing import Any

import numpy as np
from simulated_gpu import NON_BLOCKING, Gpu


class Simulated:
    """What the stand-in runs on, and the streams that are current, the innermost last."""

    gpu: Gpu
    current: list[Any] = []


the = Simulated()


class Device:
    def __init__(self, ordinal: int = 0) -> None:
        self.id = ordinal

    def __enter__(self) -> None: ...
    def __exit__(self, *error: object) -> None: ...


class Stream:
    def __init__(self, non_blocking: bool) -> None:
        assert non_blocking
        self.handle = ctypes.c_void_p()
        with the.gpu:
            the.gpu.call("cuStreamCreate", ctypes.byref(self.handle), NON_BLOCKING)

    @property
    def ptr(self) -> int:
        return self.handle.value or 0

    def __enter__(self) -> None:
        the.current.append(self)

    def __exit__(self, *error: object) -> None:
        the.current.pop()

    def __del__(self) -> None:
        with the.gpu:
            the.gpu.lib.cuStreamDestroy_v2(self.handle)


class UnownedMemory:
    def __init__(self, pointer: int, size: int, owner: Any, device: int) -> None:
        self.ptr, self.size, self.owner, self.device = pointer, size, owner, device


class MemoryPointer:
    def __init__(self, memory: UnownedMemory, offset: int) -> None:
        self.memory, self.offset = memory, offset
        self.ptr = memory.ptr + offset

    def __add__(self, offset: int) -> MemoryPointer:
        return MemoryPointer(self.memory, self.offset + offset)


class ndarray:  # noqa: N801
    def __init__(self, shape: tuple[int, ...], dtype: Any, data: MemoryPointer) -> None:
        self.shape, self.dtype, self.data = shape, np.dtype(dtype), data
        self.nbytes = self.dtype.itemsize * int(np.prod(shape, dtype=np.int64))
        assert data.offset + self.nbytes <= data.memory.size

    def __setitem__(self, what: Any, other: ndarray) -> None:
        """By way of the host, as the simulated driver has no copy on the device."""
        assert what is Ellipsis and other.shape == self.shape and other.dtype == self.dtype
        stream = the.current[-1].handle
        here = ctypes.create_string_buffer(self.nbytes)
        the.gpu.synchronise(stream)
        with the.gpu:
            the.gpu.call("cuMemcpyDtoH_v2", here, other.data.ptr, self.nbytes)
            the.gpu.call("cuMemcpyHtoDAsync_v2", self.data.ptr, here, self.nbytes, stream)

    def add(self, value: int) -> ndarray:
        """Start a slow kernel that adds to each byte."""
        with the.gpu:
            the.gpu.call(
                "sim_kernel_add",
                the.current[-1].handle, ctypes.c_uint64(self.data.ptr),
                ctypes.c_size_t(self.nbytes), value, 500,
            )  # fmt: skip
        return self

    def read_slowly(self) -> None:
        """Start a slow kernel that complains if the array changes meanwhile."""
        with the.gpu:
            the.gpu.call(
                "sim_kernel_read", the.current[-1].handle, self.data.ptr, self.nbytes, 3000, None
            )


def stand_in(gpu: Gpu) -> Any:
    """Return what `import cupy` is to give."""
    the.gpu, the.current = gpu, []
    gpu.lib.cuMemcpyHtoDAsync_v2.argtypes = [
        ctypes.c_uint64, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p,
    ]  # fmt: skip
    cupy = types.ModuleType("cupy")
    vars(cupy).update(
        ndarray=ndarray,
        cuda=types.SimpleNamespace(
            Device=Device,
            Stream=Stream,
            UnownedMemory=UnownedMemory,
            MemoryPointer=MemoryPointer,
            is_available=lambda: True,
            runtime=types.SimpleNamespace(
                runtimeGetVersion=lambda: 13000, driverGetVersion=lambda: 13000
            ),
        ),
    )
    return cupy
