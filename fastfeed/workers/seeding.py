"""The random numbers of an item: the same in any worker, in any order, at any attempt.

`random` and `numpy.random` each draw from a Mersenne Twister. Their own functions to seed it take
4 us together, more than all else that a worker does for a small batch. So its words are written
where they lie; where they are not found there, through the functions that set a state.
"""

from __future__ import annotations

import ctypes
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

# In the fork server already: their first use costs every worker 10 ms otherwise.
from numpy.random import get_bit_generator, set_bit_generator  # type: ignore[attr-defined]

from fastfeed._core import Twister, item_seed

EPOCH_HOOK = 2**64 - 2
"""Stands for the index where a source's epoch hooks are called."""

WORDS = 624
State = ctypes.c_uint32 * (WORDS + 1)
"""Of a Mersenne Twister: its words, and the position of the next one."""


def lies_at(address: int, expected: list[int]) -> bool:
    """Tell whether a twister's state is what lies in memory there."""
    return list(State.from_address(address)) == expected


class PythonNumbers:
    """The generator of `random`. CPython keeps the position, then the words behind the head."""

    def __init__(self) -> None:
        self._generator: Any = random._inst
        *words, position = self._generator.getstate()[1]
        address = id(self._generator) + object.__basicsize__
        room = type(self._generator).__basicsize__ - object.__basicsize__
        self._in_place = room >= ctypes.sizeof(State) and lies_at(address, [position, *words])
        self._state = State.from_address(address) if self._in_place else State()
        self._twister = Twister(self._state, position_first=True, stream=0)

    def seed(self, seed: int, epoch: int, index: int) -> None:
        """Start the numbers of an item."""
        self._twister.seed(seed, epoch, index)
        self._generator.gauss_next = None  # the second of a pair of normal numbers
        if not self._in_place:
            position, *words = self._state
            self._generator.setstate((3, (*words, position), None))


class NumpyNumbers:
    """A generator for `numpy.random`, in which it takes the place of NumPy's own."""

    def __init__(self) -> None:
        self._generator = np.random.MT19937(0)
        state = self._generator.state["state"]
        address = self._generator.ctypes.state_address
        self._in_place = lies_at(address, [*state["key"].tolist(), state["pos"]])
        self._state = State.from_address(address) if self._in_place else State()
        self._twister = Twister(self._state, position_first=False, stream=1)

    def seed(self, seed: int, epoch: int, index: int) -> None:
        """Start the numbers of an item."""
        self._twister.seed(seed, epoch, index)
        if not self._in_place:
            words: Any = {"key": np.array(self._state[:WORDS]), "pos": self._state[WORDS]}
            self._generator.state = {"bit_generator": "MT19937", "state": words}
        set_bit_generator(self._generator)  # forgets the second of a pair of normal ones

    def borrow(self) -> tuple[np.random.BitGenerator, Any]:
        """Take the place of the user's generator; return what `give_back` needs to undo it."""
        generator = get_bit_generator()
        state = self._kept_normal(generator)
        set_bit_generator(self._generator)
        return generator, state

    def _kept_normal(self, generator: np.random.BitGenerator) -> Any:
        """Return the state of `numpy.random` if that keeps the second of a pair of normal numbers,
        which is lost when the generator changes.

        Asking for it takes 30 us. A number that takes nothing from the generator is seen sooner.
        """
        if not (self._in_place and type(generator) is np.random.MT19937):
            return np.random.get_state(legacy=False)
        state = State.from_address(generator.ctypes.state_address)
        before = bytes(state)
        normal = np.random.standard_normal()
        if bytes(state) != before:
            ctypes.memmove(state, before, len(before))
            return None
        words = np.frombuffer(before, np.uint32)
        return "MT19937", words[:WORDS], int(words[WORDS]), 1, normal

    def give_back(self, generator: np.random.BitGenerator, state: Any) -> None:
        """Undo everything since `borrow`."""
        set_bit_generator(generator)
        if state is not None:
            np.random.set_state(state)


def torch_numbers() -> Any:
    """Return torch's generator on the CPU, which torchvision's transforms draw from; None where
    nobody has imported torch. In each new process it would start with the same numbers, and does so
    for an item that imports torch itself.
    """
    return getattr(sys.modules.get("torch"), "default_generator", None)


class GlobalNumbers:
    """Seeds `random`, `numpy.random` and, once it is imported, torch from (seed, epoch, index)."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._python = PythonNumbers()
        self._numpy = NumpyNumbers()

    def seed(self, epoch: int, index: int) -> None:
        """Start the numbers of an item."""
        self._python.seed(self._seed, epoch, index)
        self._numpy.seed(self._seed, epoch, index)
        torch = torch_numbers()
        if torch is not None:
            torch.manual_seed(item_seed(self._seed, epoch, index))

    @contextmanager
    def borrowed(self) -> Iterator[None]:
        """Restore all of them afterwards: in the parent they belong to the user."""
        python, torch = random.getstate(), torch_numbers()
        torch_state = None if torch is None else torch.get_state()
        numpy = self._numpy.borrow()
        try:
            yield
        finally:
            random.setstate(python)
            self._numpy.give_back(*numpy)
            if torch is not None:
                torch.set_state(torch_state)
