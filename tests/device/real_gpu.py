"""A real GPU for tests that are written for the simulated one.

`pytest -m gpu` runs the tests of `SAME` with it. `framework="cupy"` is real CuPy then, in a wrapper
that can be used as a `SimulatedArray`. What only a simulated driver can be asked for (to fail, to
stall, what it was called with) ends a test as skipped.
"""

from __future__ import annotations

import ctypes
import functools
from typing import Any

import numpy as np
import pytest
from simulated_gpu import SimulatedArray

SAME = [
    f"test_device_{name}.py"
    for name in ("addresses", "batches", "epochs", "garbage", "leases", "loader", "stats")
]

READS_TWICE = r"""
extern "C" __global__
void reads_twice(const volatile unsigned char *data, unsigned long long size,
                 unsigned long long nanoseconds, unsigned int *changed,
                 unsigned long long *found) {
  unsigned long long first = 0, second = 0, begin, now;
  for (unsigned long long i = 0; i < size; i++) first = first * 31 + data[i];
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(begin));
  do { asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now)); } while (now - begin < nanoseconds);
  for (unsigned long long i = 0; i < size; i++) second = second * 31 + data[i];
  if (first != second) atomicAdd(changed, 1u);
  *found = first;
}
"""


@functools.cache
def missing() -> str | None:
    """Say why there is no GPU that tests could run on; None: there is one."""
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        return f"needs a GPU, and there is no CUDA driver here ({error})"
    count = ctypes.c_int()
    code = cuda.cuInit(0) or cuda.cuDeviceGetCount(ctypes.byref(count))
    if code or not count.value:
        return f"needs a GPU, and the CUDA driver reports {count.value} (error {code})"
    return None


class RealGpu:
    """Stands where tests have the simulated driver."""

    forgiven = False

    def __init__(self) -> None:
        cupy = self.cupy = pytest.importorskip("cupy")
        self.kernel = cupy.RawKernel(READS_TWICE, "reads_twice")
        self.changed = cupy.zeros(1, cupy.uint32)
        self.live = self.forgive = self._only_simulated

    def __getattr__(self, name: str) -> Any:
        self._only_simulated(name)

    def _only_simulated(self, *what: str) -> Any:
        pytest.skip(f"asks the simulated driver for {' '.join(what) or 'what is live'}")

    def array(self, tensor: Any) -> RealArray:
        """Import a batch's array as fastfeed does it for CuPy."""
        return RealArray(self, self.cupy.from_dlpack(tensor))

    def synchronise(self) -> None:
        """Wait for all that the device was given."""
        self.cupy.cuda.Device().synchronize()

    def checksum(self, bytes_: bytes) -> int:
        """What a kernel that reads these bytes finds."""
        total = 0
        for byte in bytes_:
            total = (total * 31 + byte) % 2**64
        return total

    def close(self) -> None:
        """Fail if a slow kernel saw its array change."""
        self.synchronise()
        assert int(self.changed[0]) == 0, "a batch was written while a kernel read it"


class RealArray(SimulatedArray):
    """A CuPy array with what tests use of a `SimulatedArray`, for which it is taken."""

    def __init__(self, gpu: RealGpu, array: Any) -> None:
        self._gpu = gpu
        self._array = array
        self.shape = array.shape
        self.dtype = array.dtype
        self.data = array.data.ptr

    def __del__(self) -> None:
        """CuPy's array lets go of the memory."""

    def __getattr__(self, name: str) -> Any:
        if name == "tensor":
            pytest.skip("looks into the simulated driver's tensor")
        raise AttributeError(name)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self._gpu.cupy.asnumpy(self._array)  # type: ignore[no-any-return]

    def kernel(self, microseconds: int) -> Any:
        """Start a slow kernel that reads the array twice, and notes if it changes meanwhile."""
        found = self._gpu.cupy.zeros(1, self._gpu.cupy.uint64)
        size, nanoseconds = np.uint64(self._array.nbytes), np.uint64(microseconds * 1000)
        arguments = (np.uint64(self.data), size, nanoseconds, self._gpu.changed, found)
        self._gpu.kernel((1,), (1,), arguments)
        return Found(found)


class Found:
    """The checksum of a kernel, which is there when the kernel is done."""

    def __init__(self, array: Any) -> None:
        self._array = array

    @property
    def value(self) -> int:
        return int(self._array[0])
