"""The random numbers of an item: the same in any worker, in any order, at any attempt."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.random  # in the fork server already: its first use costs every worker 10 ms otherwise

MASK = 2**64 - 1
EPOCH_HOOK = 2**64 - 2
"""Stands for the index where a source's epoch hooks are called."""


def seed_globals(seed: int, epoch: int, index: int) -> None:
    """Seed `random` and `numpy.random` from (seed, epoch, index).

    The three are mixed by 64-bit odd constants (SplitMix64: Steele et al., "Fast splittable
    pseudorandom number generators", OOPSLA'14), so that neighbouring items share nothing.
    """
    mixed = (seed * 0x9E3779B97F4A7C15 + epoch * 0xBF58476D1CE4E5B9 + index + 1) & MASK
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & MASK
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & MASK
    mixed ^= mixed >> 31
    random.seed(mixed)
    np.random.seed(mixed & 0xFFFF_FFFF)


@contextmanager
def borrowed_globals() -> Iterator[None]:
    """Restore `random` and `numpy.random` afterwards: in the parent they belong to the user."""
    python_state = random.getstate()
    numpy_state = np.random.get_state()
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
