"""Which item comes when.

An order turns a running position into tickets' indices, epoch by epoch. It is a pure function of
(seed, epoch), so any process can compute it without asking another.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any

import numpy as np


def generator(seed: int, epoch: int, index: int) -> np.random.Generator:
    """Return the random numbers of one item.

    Philox is counter based: streams of different keys are independent (Salmon et al., "Parallel
    random numbers: as easy as 1, 2, 3", SC'11), so any worker can start anywhere. The epoch is the
    highest word of the counter, which no stream is long enough to reach.
    """
    key = np.array([seed, index], dtype=np.uint64)
    counter = np.array([0, 0, 0, epoch], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


class PhiloxState(ctypes.Structure):
    """A Philox generator as NumPy keeps it in memory."""

    _fields_ = [
        ("counter", ctypes.POINTER(ctypes.c_uint64 * 4)),
        ("key", ctypes.POINTER(ctypes.c_uint64 * 2)),
        ("buffer_pos", ctypes.c_int),
        ("buffer", ctypes.c_uint64 * 4),
        ("has_uint32", ctypes.c_int),
        ("uinteger", ctypes.c_uint32),
    ]


def find_state(philox: Any) -> PhiloxState | None:
    """Return the state of a Philox generator where it lies; None if it is not found there."""
    own_memory = range(id(philox), id(philox) + type(philox).__basicsize__)
    address = philox.ctypes.state_address
    if address not in own_memory or address + ctypes.sizeof(PhiloxState) - 1 not in own_memory:
        return None
    state = PhiloxState.from_address(address)
    for pointer in (state.counter, state.key):
        if ctypes.cast(pointer, ctypes.c_void_p).value not in own_memory:
            return None
    said = philox.state
    words = [*said["state"]["counter"], *said["state"]["key"], *said["buffer"]]
    found = [*state.counter.contents, *state.key.contents, *state.buffer]
    return state if found == words and state.buffer_pos == said["buffer_pos"] else None


class ItemNumbers:
    """The random numbers of one item after the other, from one generator; for one thread.

    The same numbers as `generator` gives. Making one costs 7 us and setting its state 0.7 us, so
    that is written where it lies, should it be found: for a small batch, this is much.
    """

    def __init__(self, seed: int) -> None:
        self._generator = generator(seed, 1, 2)
        self._said = self._generator.bit_generator.state
        self._state = find_state(self._generator.bit_generator)
        if self._state is not None:
            self._counter = self._state.counter.contents
            self._key = self._state.key.contents

    def of(self, epoch: int, index: int) -> np.random.Generator:
        """Return the generator, set to the beginning of an item's numbers."""
        state = self._state
        if state is None:
            words = self._said["state"]
            words["key"][1] = index
            words["counter"][3] = epoch
            self._generator.bit_generator.state = self._said
        else:
            self._counter[:] = 0, 0, 0, epoch
            self._key[1] = index
            state.buffer_pos = 4  # all used
            state.has_uint32 = 0
        return self._generator


@lru_cache(maxsize=4)
def permutation(length: int, seed: int, epoch: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return a random order of ``range(length)``, the same in every process; read-only."""
    # The index with all bits set is no item's: the shuffle shares no numbers with a batch.
    shuffled = generator(seed, epoch, 2**64 - 1).permutation(length)
    shuffled.flags.writeable = False
    return shuffled


class EpochOrder:
    """The items of a source of known length: each exactly once an epoch.

    Parameters
    ----------
    length : int
        Items an epoch.
    shuffle : bool
        A new order each epoch, from `seed`.
    """

    def __init__(self, length: int, shuffle: bool, seed: int) -> None:
        self.length = length
        self._shuffle = shuffle
        self._seed = seed

    def items(self, epoch: int) -> np.ndarray[Any, np.dtype[np.int64]] | None:
        """Return the index of the item at each position of `epoch`; None if that is the position
        itself.
        """
        return permutation(self.length, self._seed, epoch) if self._shuffle else None


def batch_rows(
    n_items: int, batch_size: int, batch: int, shuffle: bool, seed: int, epoch: int
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the indices of the samples of one batch; the last batch may be shorter."""
    start = batch * batch_size
    stop = min(start + batch_size, n_items)
    if not shuffle:
        return np.arange(start, stop, dtype=np.int64)
    return permutation(n_items, seed, epoch)[start:stop]
