"""Which item comes when, and to which rank.

The items of an epoch (samples, or batches where the source gives batches) stand in one order, a
pure function of (seed, epoch) that is computed point by point: any process knows it without asking
another, and it takes no memory. At each step the ranks take the next items side by side. So what a
job has consumed is one number, a position in that order, and it is the same on all ranks.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from fastfeed._core import Order, Run


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


Uneven = Literal["drop", "pad", "short"]


@dataclass(frozen=True)
class Shard:
    """Which of `world` ranks this is."""

    rank: int = 0
    world: int = 1


ALONE = Shard()


class Share(NamedTuple):
    """What one rank takes at one step: so many positions from one on."""

    position: int
    rows: int


class EpochOrder:
    """The items of a source of known length, dealt to the ranks step by step.

    At a step that begins at position p, rank r of R takes the B positions from ``p + r * B`` on.

    Parameters
    ----------
    length : int
        Items an epoch.
    rows : int or None
        B: samples a batch, on each rank. None: items are batches, and B is 1.
    shuffle : bool
        A new order each epoch, from `seed`.
    uneven : {"drop", "pad", "short"}
        What becomes of the items after the last full step. "drop": they are left out. "pad": the
        epoch's first items follow, until the step is full. "short": they are shared out as evenly
        as possible; where there are fewer than ranks, items are padded until each rank has one.
        In each case all ranks make the same number of steps.

    Attributes
    ----------
    length : int
    step : int
        Items that all ranks take together at one step.
    """

    def __init__(
        self,
        length: int,
        rows: int | None,
        *,
        shuffle: bool,
        seed: int,
        shard: Shard = ALONE,
        uneven: Uneven = "short",
    ) -> None:
        self.length = length
        self.shuffle = shuffle
        self.seed = seed
        self._rows = rows
        self._shard = shard
        self._uneven = uneven
        self.step = (rows or 1) * shard.world

    def steps(self, start: int = 0) -> int:
        """Return how many steps there are from position `start` to the end of the epoch."""
        left = self.length - start
        return left // self.step if self._uneven == "drop" else -(-left // self.step)

    def after(self, start: int, steps: int) -> int:
        """Return the position after so many steps."""
        return min(start + steps * self.step, self.length)

    @property
    def most_rows(self) -> int:
        """Samples of this rank's largest batch."""
        return max(self._share(0).rows, self._last(0).rows)

    def run(self, epoch: int, start: int = 0) -> Run:
        """Return this rank's tickets of an epoch, from a position on."""
        steps, first = self.steps(start), start // self.step
        share, last = self._share(start), self._last(start)
        if self._rows is None:
            order = Order(self.length, self.shuffle, self.seed, epoch)
            return Run(epoch, first, steps, order=order, position=share.position, stride=self.step)
        return Run(
            epoch,
            first,
            steps,
            position=share.position,
            stride=self.step,
            rows=share.rows,
            last_position=last.position,
            last_rows=last.rows,
        )

    def _share(self, start: int) -> Share:
        """Return what this rank takes at a full step."""
        rows = self._rows or 1
        return Share(start + self._shard.rank * rows, rows)

    def _last(self, start: int) -> Share:
        """Return what this rank takes at the last step."""
        at = start + max(0, self.steps(start) - 1) * self.step
        left = self.length - at
        if left >= self.step or self._uneven != "short":
            return self._share(at)
        rank, world = self._shard.rank, self._shard.world
        if left < world:
            return Share(at + rank, 1)
        first = left * rank // world
        return Share(at + first, left * (rank + 1) // world - first)
