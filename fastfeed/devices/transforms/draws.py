"""Random numbers that depend on (seed, epoch, index, sample, purpose) and on nothing else.

A kernel's thread draws its own with SplitMix64 (Steele et al., "Fast splittable pseudorandom number
generators", OOPSLA'14) from one 64-bit key per batch, so nothing random is uploaded. `Draws` gives
the same numbers with NumPy.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]

LARGEST = 2**64 - 1
GOLDEN = 0x9E3779B97F4A7C15
STREAM = 2  # csrc/numbers.c seeds `random` with 0 and `numpy.random` with 1

MIX = """
INLINE u64 mix(u64 x) {
  x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9ull;
  x = (x ^ x >> 27) * 0x94D049BB133111EBull;
  return x ^ x >> 31;
}
"""


def mix(x: Any) -> Any:
    """Return SplitMix64's output for a state; `MIX` in C. Takes one `int`, or `Words`."""
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & LARGEST
    x = (x ^ x >> 27) * 0x94D049BB133111EB & LARGEST
    return x ^ x >> 31


def batch_key(seed: int, epoch: int, index: int) -> int:
    """Return the 64 bits from which all random numbers of a batch follow."""
    seed, epoch, index = int(seed), int(epoch), int(index)  # NumPy's integers would overflow
    state = mix((seed * GOLDEN + epoch * 0xBF58476D1CE4E5B9 + index + 1) & LARGEST)
    return int(mix((state + STREAM) & LARGEST))


class Draws:
    """The random numbers of a batch's samples.

    Parameters
    ----------
    key : int
        From `batch_key`.
    samples : int
        How many there are.
    """

    IN_C = f"const u64 numbers = mix(key + (u64)(sample + 1) * {GOLDEN:#x}ull);"

    def __init__(self, key: int, samples: int) -> None:
        counters = np.arange(1, samples + 1, dtype=np.uint64)
        self._numbers: Words = mix(np.uint64(key) + counters * np.uint64(GOLDEN))

    def of(self, purpose: int) -> Words:
        """Return 64 random bits a sample."""
        numbers: Words = mix(self._numbers + np.uint64(purpose))
        return numbers

    @staticmethod
    def c_of(purpose: int) -> str:
        """Return the C expression of `of`, behind `IN_C`."""
        return f"mix(numbers + {purpose})"
