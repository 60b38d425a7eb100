"""What the tests on a real GPU share: sources, and each framework's way to compute late.

Workers import this too, so frameworks are imported only where they are asked for.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fastfeed import ArraySpec

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # others need memory too

ROWS, COLUMNS = 64, 2**16
LARGE = ROWS * COLUMNS
"""Bytes of a batch of `Constant`: 4 MiB, a few of which take a GPU's copy engine a millisecond."""
LATE_MS = 4


class Constant:
    """Batch i: an array full of i % 256, written in its slot: one sum tells whether it is whole."""

    spec = ArraySpec((ROWS, COLUMNS), "uint8")

    def __init__(self, length: int, before: Callable[[int], Any] | None = None) -> None:
        self.length = length
        self.before = before

    def __len__(self) -> int:
        return self.length

    def fill(self, index: int, out: Any, rng: Any) -> None:
        if self.before is not None:
            self.before(index)
        out[...] = index % 256


class Noise:
    """Batch i: random bytes, which are copied to their slot, with streaming stores where many."""

    def __init__(self, length: int, size: int) -> None:
        self.length = length
        self.size = size

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> np.ndarray:
        return np.frombuffer(np.random.default_rng(index).bytes(self.size), np.uint8)


class NoiseInPlace(Noise):
    """The same, written in the slot by NumPy's own stores."""

    def __init__(self, length: int, size: int) -> None:
        super().__init__(length, size)
        self.spec = ArraySpec((size,), "uint8")

    def fill(self, index: int, out: Any, rng: Any) -> None:
        out[...] = self[index]


class Images:
    """Batch i: images and their labels."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(index)
        return rng.integers(0, 256, (16, 40, 44, 3), np.uint8), rng.integers(0, 10, 16)


SPIN = r"""
extern "C" __global__ void spin(unsigned long long nanoseconds) {
  unsigned long long begin, now;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(begin));
  do { asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now)); } while (now - begin < nanoseconds);
}
"""


class CuPy:
    """Computes on CuPy's current stream."""

    def __init__(self) -> None:
        self.cupy = pytest.importorskip("cupy")
        self._spin = self.cupy.RawKernel(SPIN, "spin")

    def late_sum(self, array: Any) -> Any:
        """Start a sum that begins to read milliseconds after this has returned."""
        self._spin((1,), (1,), (np.uint64(LATE_MS * 10**6),))
        return array.sum(dtype="int64")

    def numpy(self, array: Any) -> np.ndarray:
        return self.cupy.asnumpy(array)  # type: ignore[no-any-return]


class Torch:
    """Computes on PyTorch's current stream."""

    def __init__(self) -> None:
        self.torch = pytest.importorskip("torch")
        if not self.torch.cuda.is_available():
            pytest.skip("this PyTorch sees no GPU")

    def late_sum(self, array: Any) -> Any:
        self.torch.cuda._sleep(LATE_MS * 2 * 10**6)  # cycles, of which there are 1 to 2 a ns
        return array.sum(dtype=self.torch.int64)

    def numpy(self, array: Any) -> np.ndarray:
        return array.cpu().numpy()  # type: ignore[no-any-return]


class Jax:
    """Computes on streams that JAX tells nobody of."""

    def __init__(self) -> None:
        self.jax = pytest.importorskip("jax")
        try:
            self.jax.devices("gpu")
        except RuntimeError as error:
            pytest.skip(f"this JAX sees no GPU ({error})")
        self._matrix = self.jax.numpy.eye(2048)
        self._sum = self.jax.jit(self._slow_sum)
        self.late_sum(self.jax.numpy.zeros((ROWS, COLUMNS), "uint8")).block_until_ready()  # compile

    def _slow_sum(self, array: Any, matrix: Any) -> Any:
        """Sum what is there after 20 products, which the sum needs."""
        product = self.jax.lax.fori_loop(0, 20, lambda i, m: m @ matrix, matrix)
        zero = (product[0, 1] * 0.5).astype(array.dtype)
        return (array + zero).astype("int32").sum()

    def late_sum(self, array: Any) -> Any:
        return self._sum(array, self._matrix)

    def numpy(self, array: Any) -> np.ndarray:
        return np.asarray(array)


FRAMEWORKS = {"cupy": CuPy, "torch": Torch, "jax": Jax}
each_framework = pytest.mark.parametrize("name", FRAMEWORKS)


def framework(name: str) -> Any:
    """Return what computes with a framework; skip the test where it is not there."""
    return FRAMEWORKS[name]()
