"""The simulated CUDA driver for Python tests: finding it, controlling it, reading what lies there.

`framework="cupy"` stands for any framework: the tests put `SimulatedArray` in the place of CuPy's
importer. It takes DLPack capsules as a framework does, on a stream of its own, and reads device
memory with the driver's own calls. All the rest is fastfeed as it ships.
"""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).resolve().parents[1] / "simulated"
LIBRARY = FOLDER / "build" / "plain" / "libfastfeed_simulated_cuda.so"
EVERY_CALL = -1
NON_BLOCKING = 1
ALL_STREAMS = -1

NUMPY_TYPES = {0: "i", 1: "u", 2: "f", 5: "c", 6: "b"}


def build() -> Path:
    """Build the library, if it is not there or older than its source."""
    subprocess.run(["make", "--silent", "-C", str(FOLDER)], check=True, capture_output=True)
    return LIBRARY


class Tensor(ctypes.Structure):
    """DLPack's DLManagedTensor, version 0."""

    _fields_ = [
        ("data", ctypes.c_uint64),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.c_void_p),
        ("byte_offset", ctypes.c_uint64),
        ("manager_ctx", ctypes.c_void_p),
        ("deleter", ctypes.CFUNCTYPE(None, ctypes.c_void_p)),
    ]


api = ctypes.pythonapi
api.PyCapsule_GetPointer.restype = ctypes.c_void_p
api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
api.PyCapsule_SetName.argtypes = [ctypes.py_object, ctypes.c_char_p]
USED = b"used_dltensor"


class Gpu:
    """The driver, with a context of its own to make the calls that a framework would make."""

    def __init__(self) -> None:
        self.lib = lib = ctypes.CDLL(str(build()))
        lib.sim_live.restype = ctypes.c_int64
        lib.sim_calls.restype = ctypes.c_int64
        lib.sim_calls_by_this_thread.restype = ctypes.c_int64
        lib.sim_violation_text.restype = ctypes.c_char_p
        lib.sim_checksum.restype = ctypes.c_uint64
        lib.sim_checksum.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
        lib.sim_memory.argtypes = [ctypes.c_size_t]
        lib.cuMemcpyDtoH_v2.argtypes = [ctypes.c_void_p, ctypes.c_uint64, ctypes.c_size_t]
        lib.sim_kernel_read.argtypes = [
            ctypes.c_void_p, ctypes.c_uint64, ctypes.c_size_t, ctypes.c_uint, ctypes.c_void_p,
        ]  # fmt: skip
        self.context = ctypes.c_void_p()
        self.stream = ctypes.c_void_p()

    # -- a test's beginning and end -----------------------------------------------------------

    def reset(self, seed: int) -> None:
        """Go back to the defaults; nothing may be live."""
        assert self.lib.sim_reset(ctypes.c_uint64(seed)) == 0
        self.forgiven = False

    def open(self) -> None:
        """Do what a framework does when it starts."""
        self.call("cuInit", 0)
        self.call("cuDevicePrimaryCtxRetain", ctypes.byref(self.context), 0)
        with self:
            self.call("cuStreamCreate", ctypes.byref(self.stream), NON_BLOCKING)

    def close(self) -> None:
        """Undo it; errors that the test has caused do not matter."""
        if self.context:
            with self:
                self.lib.cuStreamDestroy_v2(self.stream)
            self.lib.cuDevicePrimaryCtxRelease_v2(0)
        self.context = ctypes.c_void_p()
        self.stream = ctypes.c_void_p()

    def __enter__(self) -> None:
        self.call("cuCtxPushCurrent_v2", self.context)

    def __exit__(self, *error: object) -> None:
        self.lib.cuCtxPopCurrent_v2(ctypes.byref(ctypes.c_void_p()))

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function of the driver's that must succeed."""
        code = getattr(self.lib, name)(*arguments)
        assert code == 0, f"{name} returned {code}"

    def synchronise(self, stream: ctypes.c_void_p | None = None) -> None:
        """Wait for the framework's stream, or another one."""
        with self:
            self.call("cuStreamSynchronize", self.stream if stream is None else stream)

    def stall(self, on: bool) -> None:
        """Hold back everything that streams have not begun, or let it go."""
        self.lib.sim_stall(ctypes.c_void_p(ALL_STREAMS), int(on))

    # -- looking at it ------------------------------------------------------------------------

    def live(self, what: str = "all") -> int:
        """How many of these exist."""
        return int(self.lib.sim_live(what.encode()))

    def calls(self, name: str) -> int:
        """How often a function was called."""
        return int(self.lib.sim_calls(name.encode()))

    def calls_here(self, name: str) -> int:
        """How often this thread called it."""
        return int(self.lib.sim_calls_by_this_thread(name.encode()))

    def violations(self) -> list[str]:
        """What no correct program does, and was done."""
        count = self.lib.sim_violations()
        return [self.lib.sim_violation_text(i).decode() for i in range(min(count, 64))]

    def forgive(self) -> None:
        """Let the test end with violations: it has made them on purpose."""
        self.forgiven = True

    def fail(self, name: str, nth: int, code: int) -> None:
        """Have a call of a function fail."""
        assert self.lib.sim_fail(name.encode(), nth, code) == 0

    def checksum(self, bytes_: bytes) -> int:
        """What a kernel that reads these bytes writes."""
        return int(self.lib.sim_checksum(bytes_, len(bytes_)))

    def read(self, pointer: int, n_bytes: int) -> bytes:
        """Read device memory after all that the framework's stream was given."""
        bytes_ = ctypes.create_string_buffer(max(n_bytes, 1))
        self.synchronise()
        with self:
            if n_bytes:
                self.call("cuMemcpyDtoH_v2", bytes_, pointer, n_bytes)
        return bytes_.raw[:n_bytes]


class SimulatedArray:
    """What a framework makes of a DLPack capsule; the memory is let go with the last of these."""

    def __init__(self, gpu: Gpu, producer: Any) -> None:
        assert producer.__dlpack_device__()[0] == 2
        self.gpu = gpu
        self.producer = producer
        self.capsule = producer.__dlpack__(stream=gpu.stream.value)
        pointer = api.PyCapsule_GetPointer(self.capsule, b"dltensor")
        api.PyCapsule_SetName(self.capsule, USED)
        self.tensor = Tensor.from_address(pointer)
        self.address = pointer
        self.shape = tuple(self.tensor.shape[i] for i in range(self.tensor.ndim))
        kind = NUMPY_TYPES.get(self.tensor.code, "u")
        self.dtype = np.dtype(f"{kind}{self.tensor.bits // 8}")
        self.data = self.tensor.data + self.tensor.byte_offset

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        n_bytes = self.dtype.itemsize * int(np.prod(self.shape, dtype=np.int64))
        return np.frombuffer(self.gpu.read(self.data, n_bytes), self.dtype).reshape(self.shape)

    def kernel(self, microseconds: int) -> ctypes.c_uint64:
        """Start a slow kernel that reads the array twice, and complains if it changes meanwhile."""
        checksum = ctypes.c_uint64()
        n_bytes = self.dtype.itemsize * int(np.prod(self.shape, dtype=np.int64))
        with self.gpu:
            self.gpu.call(
                "sim_kernel_read",
                self.gpu.stream, self.data, n_bytes, microseconds, ctypes.byref(checksum),
            )  # fmt: skip
        self.checksum = checksum  # it is written later
        return checksum

    def __del__(self) -> None:
        if hasattr(self, "address"):
            self.tensor.deleter(self.address)
