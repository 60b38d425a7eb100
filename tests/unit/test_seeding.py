"""`random` and `numpy.random` are set for each item, and put back where they are the user's."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastfeed
from fastfeed._core import Twister
from fastfeed.errors import CoreError
from fastfeed.workers import seeding
from fastfeed.workers.seeding import GlobalNumbers, State

WORDS = st.integers(0, 2**64 - 1)


def draw() -> list[float]:
    """Numbers of every kind; an odd number of normal ones, so that each module keeps one."""
    numbers = [random.random(), random.gauss(0, 1), np.random.rand(), np.random.randn()]
    return [*numbers, random.getrandbits(40), *np.random.permutation(5)]


@pytest.fixture(autouse=True)
def borrowed() -> Any:
    with GlobalNumbers(0).borrowed():
        yield


@given(WORDS, WORDS, WORDS)
def test_an_item_has_its_numbers_whatever_came_before(seed: int, epoch: int, index: int) -> None:
    numbers = GlobalNumbers(seed)
    numbers.seed(epoch, index)
    first = draw()
    numbers.seed(epoch, index ^ 1)
    assert draw() != first
    np.random.seed(5)
    np.random.set_bit_generator(np.random.PCG64(5))
    numbers.seed(epoch, index)
    assert draw() == first


def test_both_modules_have_numbers_of_their_own() -> None:
    GlobalNumbers(0).seed(0, 0)
    assert random.getrandbits(32) != int(np.random.randint(0, 2**32, dtype=np.uint32))


def test_the_state_that_is_written_is_the_one_that_is_read() -> None:
    GlobalNumbers(7).seed(1, 2)
    for state in random.getstate()[1], [*np.random.get_state()[1], np.random.get_state()[2]]:
        assert state[624] == 624
        assert len(set(state[:624])) > 600


def test_the_same_numbers_where_the_states_lie_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    GlobalNumbers(7).seed(1, 2)
    expected = draw()
    monkeypatch.setattr(seeding, "lies_at", lambda *_: False)
    elsewhere = GlobalNumbers(7)
    elsewhere.seed(1, 2)
    assert draw() == expected
    with elsewhere.borrowed():
        elsewhere.seed(3, 4)
        draw()
    elsewhere.seed(1, 2)
    assert draw() == expected


@pytest.mark.parametrize("normals", [0, 1, 2, 3])
@pytest.mark.parametrize("generator", [np.random.MT19937, np.random.PCG64])
def test_a_pair_of_normal_numbers_may_be_broken_in_upon(normals: int, generator: Any) -> None:
    def numbers(interrupted: bool) -> list[float]:
        np.random.set_bit_generator(generator(3))
        random.seed(3)
        drawn = [*np.random.randn(normals), *(random.gauss(0, 1) for _ in range(normals))]
        if interrupted:
            for index in range(3):
                with GlobalNumbers(0).borrowed():
                    GlobalNumbers(0).seed(0, index)
                    draw()
        return [*drawn, *np.random.randn(3), random.gauss(0, 1), *draw()]

    assert numbers(interrupted=True) == numbers(interrupted=False)


def test_a_twister_needs_the_whole_state() -> None:
    with pytest.raises(CoreError, match="2496 bytes are no twister's state"):
        Twister(np.zeros(624, np.uint32), True, 0)
    with pytest.raises(BufferError):
        Twister(bytes(State()), True, 0)


# -- torch ----------------------------------------------------------------------------------


def test_torch_is_seeded_for_each_item_and_put_back() -> None:
    torch = pytest.importorskip("torch")
    before = torch.get_rng_state()
    numbers = GlobalNumbers(3)
    drawn = []
    with numbers.borrowed():
        for index in (0, 1, 0):
            numbers.seed(2, index)
            drawn.append(torch.rand(2).tolist())
    assert drawn[0] == drawn[2] != drawn[1]
    assert torch.equal(torch.get_rng_state(), before)


def test_workers_draw_their_own_numbers_from_torch() -> None:
    pytest.importorskip("torch")
    from unit_torch_sources import TorchDraws

    drawn = []
    for workers in (1, 0):
        with fastfeed.Loader(TorchDraws(), batch_size=3, workers=workers) as loader:
            drawn.append([value for batch in loader for value in batch.ravel().tolist()])
    assert len(set(drawn[0])) == 6
    assert drawn[0] == drawn[1]
