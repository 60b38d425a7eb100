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
    """The random numbers of a batch's samples: each has a part of SplitMix64's sequence.

    Parameters
    ----------
    key : int
        From `batch_key`: where the sequence starts.
    samples : int
        How many there are.
    """

    PURPOSES = 256  # numbers that a sample has; nobody needs that many ops

    def __init__(self, key: int, samples: int) -> None:
        self._key = np.uint64(key)
        self._first = np.arange(samples, dtype=np.uint64) * np.uint64(self.PURPOSES)

    def of(self, purpose: int) -> Words:
        """Return 64 random bits a sample."""
        numbers: Words = mix(self._key + (self._first + np.uint64(purpose + 1)) * np.uint64(GOLDEN))
        return numbers

    @classmethod
    def c_of(cls, purpose: int) -> str:
        """Return the C expression of `of`."""
        return f"mix(key + ((u64)sample * {cls.PURPOSES} + {purpose + 1}) * {GOLDEN:#x}ull)"
