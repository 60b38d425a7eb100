"""Random numbers that depend on (seed, epoch, index, sample, purpose) and on nothing else.

A kernel's thread draws its own with SplitMix64 (Steele et al., "Fast splittable pseudorandom number
generators", OOPSLA'14) from one 64-bit key per batch, so nothing random is uploaded. `Draws` gives
the same numbers with NumPy.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]

GOLDEN = 0x9E3779B97F4A7C15
STREAM = 2  # csrc/numbers.c seeds `random` with 0 and `numpy.random` with 1

MIX = """
INLINE u64 mix(u64 x) {
  x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9ull;
  x = (x ^ x >> 27) * 0x94D049BB133111EBull;
  return x ^ x >> 31;
}
"""


def words(*values: int) -> Words:
    """Return integers modulo 2**64. NumPy's arrays of them wrap around as C's do."""
    return np.array([value % 2**64 for value in values], np.uint64)


def mix(x: Words) -> Words:
    """Return SplitMix64's output for each state; `MIX` in C."""
    x = (x ^ x >> words(30)) * words(0xBF58476D1CE4E5B9)
    x = (x ^ x >> words(27)) * words(0x94D049BB133111EB)
    return x ^ x >> words(31)


def batch_key(seed: int, epoch: int, index: int) -> int:
    """Return the 64 bits from which all random numbers of a batch follow."""
    state = mix(words(seed * GOLDEN + epoch * 0xBF58476D1CE4E5B9 + index + 1))
    return int(mix(state + words(STREAM))[0])


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
        self._numbers = mix(words(key) + counters * words(GOLDEN))

    def of(self, purpose: int) -> Words:
        """Return 64 random bits a sample."""
        return mix(self._numbers + words(purpose))

    @staticmethod
    def c_of(purpose: int) -> str:
        """Return the C expression of `of`, behind `IN_C`."""
        return f"mix(numbers + {purpose})"
