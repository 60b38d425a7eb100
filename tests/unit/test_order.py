"""Orders and random numbers depend on (seed, epoch, index) and on nothing else."""

from __future__ import annotations

import math
import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2
from unit_random import Dying, OwnNumbers, Random, RandomFill, SelfShuffling
from unit_sources import Batches, private

import fastfeed
from fastfeed import order
from fastfeed._core import Order
from fastfeed.errors import CoreError
from fastfeed.order import ItemNumbers, find_state, generator

PROCESSES: list[dict[str, Any]] = [{"workers": 0}, {"workers": 1}, {"workers": 3}]
THREADS = {"workers": 3, "use_multiprocessing": False}
SEEDS = st.integers(0, 2**64 - 1)


def epochs(source: Any, count: int = 3, **options: Any) -> list[list[list[float]]]:
    """So many epochs of a source, as lists."""
    with fastfeed.Loader(source, **options) as loader:
        return [[private(batch).tolist() for batch in loader] for _ in range(count)]


def flat(epoch: list[list[float]]) -> list[float]:
    return [value for batch in epoch for value in batch]


# -- random numbers -------------------------------------------------------------------------


@pytest.mark.parametrize("source", [Random, RandomFill])
def test_the_same_numbers_with_any_number_of_workers(source: Any) -> None:
    received = [epochs(source(), **way) for way in PROCESSES]
    assert received[0] == received[1] == received[2]


def test_the_same_numbers_in_threads_from_the_generator_that_is_given() -> None:
    assert epochs(OwnNumbers(), **THREADS) == epochs(OwnNumbers(), workers=0)


def test_the_same_numbers_in_any_order() -> None:
    ordered = epochs(RandomFill(), workers=0)
    unordered = epochs(RandomFill(), workers=3, ordered=False)
    assert [sorted(epoch) for epoch in unordered] == ordered


def test_the_same_numbers_after_a_death(tmp_path: Path) -> None:
    expected = epochs(RandomFill(), workers=0)
    assert epochs(Dying(tmp_path, [0, 3, 4, 11]), workers=2) == expected
    assert len(list(tmp_path.iterdir())) == 4


def test_the_same_numbers_after_a_loop_was_left() -> None:
    expected = epochs(RandomFill(), workers=0)
    with fastfeed.Loader(RandomFill(), workers=2) as loader:
        for _, batch in zip(range(5), loader, strict=False):
            first = private(batch)
        assert [private(batch).tolist() for batch in loader] == expected[1]
    assert first.tolist() == expected[0][4]


def test_every_item_epoch_and_seed_has_numbers_of_its_own() -> None:
    seeds = [0, 1, 2**32, 2**63]
    values = [
        value
        for seed in seeds
        for epoch in epochs(RandomFill(), workers=0, seed=seed)
        for _, *numbers in epoch
        for value in numbers
    ]
    assert len(set(values)) == len(values) == len(seeds) * 3 * 12 * 4


@pytest.mark.parametrize(
    ("source", "ways"),
    [(Random, PROCESSES), (RandomFill, PROCESSES), (SelfShuffling, [*PROCESSES, THREADS])],
)
def test_the_numbers_of_the_script_are_not_disturbed(source: Any, ways: list[Any]) -> None:
    for way in ways:
        random.seed(1)
        np.random.seed(1)
        expected = random.random(), np.random.rand()
        random.seed(1)
        np.random.seed(1)
        epochs(source(), shuffle=True, **way)
        assert (random.random(), np.random.rand()) == expected


@pytest.mark.parametrize("found", [True, False])
@given(SEEDS, st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)), max_size=5))
def test_one_generator_gives_each_item_the_numbers_of_its_own(
    found: bool, seed: int, items: list[tuple[int, int]]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if not found:  # as with a NumPy that keeps them elsewhere
            patch.setattr(order, "find_state", lambda philox: None)
        numbers = ItemNumbers(seed)
    for epoch, index in items:
        ours, expected = numbers.of(epoch, index), generator(seed, epoch, index)
        for rng in (ours, expected):
            rng.integers(0, 9, dtype=np.uint32)  # leaves half a word behind in the generator
        assert ours.random(3).tolist() == expected.random(3).tolist()


def test_a_state_is_found_where_it_lies_and_nowhere_else() -> None:
    philox = generator(1, 2, 3).bit_generator
    state = find_state(philox)
    assert state is not None
    philox.random_raw(3)
    assert state.counter.contents[0] == philox.state["state"]["counter"][0] == 1
    assert state.buffer_pos == philox.state["buffer_pos"] == 3
    assert find_state(np.random.PCG64(1)) is None


@given(SEEDS, st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1))
def test_any_numbers_make_a_generator(seed: int, epoch: int, index: int) -> None:
    first = generator(seed, epoch, index).random(4)
    assert (generator(seed, epoch, index).random(4) == first).all()
    assert (generator(seed ^ 1 << 63, epoch, index).random(4) != first).all()
    assert (generator(seed, epoch ^ 1, index).random(4) != first).all()
    assert (generator(seed, epoch, index ^ 1 << 40).random(4) != first).all()


# -- orders ---------------------------------------------------------------------------------


@pytest.mark.parametrize("way", [*PROCESSES, THREADS])
@pytest.mark.parametrize("kind", ["batches", "samples", "arrays"])
def test_shuffling_is_another_permutation_each_epoch(kind: str, way: dict[str, Any]) -> None:
    source = {
        "batches": Batches(lambda index: np.array([index]), 30),
        "samples": list(range(30)),
        "arrays": np.arange(30),
    }[kind]
    size = {} if kind == "batches" else {"batch_size": 4}
    orders = [flat(epoch) for epoch in epochs(source, shuffle=True, seed=5, **size, **way)]
    assert [sorted(order) for order in orders] == [list(range(30))] * 3
    assert len({tuple(order) for order in orders}) == 3
    assert orders == [Order(30, True, 5, epoch).rows(0, 30).tolist() for epoch in range(3)]


@given(st.integers(1, 300), SEEDS, st.integers(0, 1000))
def test_an_order_has_each_item_once(length: int, seed: int, epoch: int) -> None:
    order = Order(length, True, seed, epoch)
    assert sorted(order.rows(0, length)) == list(range(length))


@given(st.integers(1, 300), st.booleans(), st.integers(0, 999), st.integers(0, 500))
def test_an_order_goes_round(length: int, shuffled: bool, start: int, count: int) -> None:
    order = Order(length, shuffled, 7, 3)
    whole = order.rows(0, length).tolist()
    expected = [whole[position % length] for position in range(start, start + count)]
    assert order.rows(start, count).tolist() == expected
    assert [order.at(position) for position in range(start, start + count)] == expected


@pytest.mark.parametrize("seed", [1, 2**32, 2**63])
def test_the_seed_changes_the_order(seed: int) -> None:
    rows = [Order(50, True, s, 0).rows(0, 50).tolist() for s in (0, seed)]
    assert rows[0] != rows[1]


@pytest.mark.parametrize("length", [3, 4, 5])
def test_every_order_of_a_few_items_comes_up_alike(length: int) -> None:
    draws = 6000
    found = Counter(tuple(Order(length, True, seed, 7).rows(0, length)) for seed in range(draws))
    expected = draws / math.factorial(length)
    assert chi2.sf(
        sum((count - expected) ** 2 for count in found.values()) / expected, len(found) - 1
    ) > 1e-3  # fmt: skip
    assert len(found) == math.factorial(length)


def test_every_item_comes_up_alike_at_every_position() -> None:
    length, draws = 40, 4000
    counts = np.zeros((length, length))
    for epoch in range(draws):
        counts[np.arange(length), Order(length, True, 5, epoch).rows(0, length)] += 1
    expected = draws / length
    statistic = ((counts - expected) ** 2 / expected).sum()
    assert 1e-3 < chi2.sf(statistic, (length - 1) ** 2) < 1 - 1e-3


@pytest.mark.parametrize("length", [0, 2**63])
def test_an_order_of_no_items_or_too_many_is_refused(length: int) -> None:
    with pytest.raises(CoreError, match=f"an order of {length} items"):
        Order(length)


# -- hooks ----------------------------------------------------------------------------------


def test_a_source_that_shuffles_itself_has_one_order_in_every_worker() -> None:
    orders = [[flat(epoch) for epoch in epochs(SelfShuffling(), **way)] for way in PROCESSES]
    assert orders[0] == orders[1] == orders[2]
    assert [sorted(order) for order in orders[0]] == [list(range(20))] * 3
    assert len({tuple(order) for order in orders[0]}) == 3
