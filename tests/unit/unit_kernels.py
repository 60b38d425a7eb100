"""Runs the kernels of transforms without a GPU: their text as C, a loop in the place of the grid.

What `Plan.run` takes of CuPy is here with the same calls: buffers with a pointer that can be moved
and copied from, and kernels that are called with a grid, a block and arguments.
"""

from __future__ import annotations

import ctypes
import functools
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastfeed.devices.transforms import Plan, plan
from fastfeed.structure import ArrayLeaf, Layout, Tree, leaf_bytes, leaves, map_leaves

HOST = """
static long long thread;
#define INLINE static inline
#define KERNEL static
#define THREAD thread
"""
GRID = """
void grid(i64 threads, const void *input, void *output, u64 key, i64 samples, f64 own, f64 other,
          i64 shift) {
  for (thread = 0; thread < threads; thread++)
    transform(input, output, key, samples, own, other, shift);
}
"""
FLAGS = ["-std=c11", "-O1", "-ffp-contract=off", "-Wall", "-Wno-unused", "-Werror"]
C_TYPES = {
    np.uint64: ctypes.c_uint64,
    np.int64: ctypes.c_int64,
    np.float64: ctypes.c_double,
}
POISON = 0xA5


@functools.cache
def compiled(text: str) -> Callable[..., None]:
    """The kernel of a text, to be called as CuPy's RawKernel is."""
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder, "kernel.c"), Path(folder, "kernel.so")
        source.write_text(HOST + text + GRID)
        command = ["cc", *FLAGS, "-shared", "-fPIC", "-o", str(library), str(source)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr + text
        grid = ctypes.CDLL(str(library)).grid

    def launch(blocks: tuple[int], threads: tuple[int], arguments: tuple[Any, ...]) -> None:
        passed = [C_TYPES[type(argument)](argument) for argument in arguments]
        grid(ctypes.c_int64(blocks[0] * threads[0]), *passed)

    return launch


class Pointer:
    """As cupy.cuda.MemoryPointer."""

    def __init__(self, ptr: int) -> None:
        self.ptr = ptr

    def __add__(self, n_bytes: int) -> Pointer:
        return Pointer(self.ptr + n_bytes)

    def copy_from_device_async(self, source: Pointer, n_bytes: int) -> None:
        ctypes.memmove(self.ptr, source.ptr, n_bytes)


class Buffer:
    """As a 1-D cupy.ndarray of uint8, with poison in it and at both ends."""

    MARGIN = 4096

    def __init__(self, n_bytes: int) -> None:
        self._all = np.full(n_bytes + 2 * self.MARGIN, POISON, np.uint8)
        self.bytes = self._all[self.MARGIN : self.MARGIN + n_bytes]
        self.data = Pointer(self.bytes.ctypes.data)

    def array(self, leaf: ArrayLeaf) -> np.ndarray:
        end = leaf.offset + leaf_bytes(leaf)
        return self.bytes[leaf.offset : end].view(leaf.dtype).reshape(leaf.shape)

    def check_unwritten(self, skeleton: Tree) -> None:
        """Assert that nothing was written but the leaves' bytes."""
        written = np.zeros(len(self._all), bool)
        for leaf in leaves(skeleton):
            if type(leaf) is ArrayLeaf:
                start = self.MARGIN + leaf.offset
                written[start : start + leaf_bytes(leaf)] = True
        assert (self._all[~written] == POISON).all()


def arrays_of(skeleton: Tree, buffer: Buffer) -> Tree:
    def array(leaf: Any) -> Any:
        return buffer.array(leaf) if type(leaf) is ArrayLeaf else leaf

    return map_leaves(array, skeleton)


def on_device(augment: Any, batch: Tree, seed: int, epoch: int, index: int) -> Tree:
    """The batch that `Plan.run` makes, its kernels run as C."""
    layout = Layout.of(batch)
    source = Buffer(layout.data_bytes)
    for leaf, array in zip(leaves(layout.skeleton), leaves(batch), strict=True):
        if type(leaf) is ArrayLeaf:
            source.array(leaf)[...] = array
    made: Plan = augment.plan(layout.skeleton)
    target = Buffer(made.output_bytes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "compiled", compiled)
        made.run(source, target, seed, epoch, index)
    target.check_unwritten(made.outputs)
    return arrays_of(made.outputs, target)


def assert_same_bits(got: Any, expected: Any) -> None:
    """Equal in structure, dtypes, shapes and bits; a NaN is any NaN."""
    assert type(got) is type(expected)
    for one, other in zip(leaves(got), leaves(expected), strict=True):
        if not isinstance(other, np.ndarray):
            assert one == other
            continue
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        with np.errstate(invalid="ignore"):
            both_nan = (one != one) & (other != other)
        same = (bits(one) == bits(other)) | both_nan
        assert same.all(), (one[~same], other[~same])


def bits(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).view(f"u{array.itemsize}")
