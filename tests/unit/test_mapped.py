"""A generator of light items with the heavy part of each in the workers: the same everywhere."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from unit_sources import fed, same

import fastfeed
from fastfeed.errors import ArgumentError, SourceError, SourceExhausted
from fastfeed.sources.mapped import Share, generator

pytestmark = pytest.mark.filterwarnings("ignore:All but")

WAYS: list[dict[str, Any]] = [
    {"workers": 0},
    {"workers": 3, "use_multiprocessing": False},
    {"workers": 2},
]
N = 23


class Counting:
    """Gives `n` numbers, and keeps what became of its generators. Cannot be pickled."""

    def __init__(self, n: int = N) -> None:
        self.n = n
        self.given: list[int] = []
        self.begun = self.closed = 0
        self.lock = threading.Lock()

    def __call__(self) -> Iterator[int]:
        self.begun += 1
        try:
            for number in range(self.n):
                self.given.append(number)
                yield number
        finally:
            self.closed += 1


def heavy(number: int) -> tuple[np.ndarray, str]:
    """Make a batch."""
    return np.full((3, 2), number), f"batch {number}"


def drawn(number: int, rng: np.random.Generator) -> Any:
    """Make a sample by chance, from its own and the global numbers."""
    return number, rng.random(), np.random.random()


def stripped(text: str) -> int:
    """Return the length of a line."""
    return len(text.strip())


def numbers_of(batches: list[Any]) -> list[int]:
    """Return the numbers that batches of `heavy` were made of."""
    return [int(x[0, 0]) for x, _ in batches]


# -- the order ------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_each_item_comes_once_and_in_order_in_each_epoch(way: dict[str, Any]) -> None:
    items = Counting()
    with fastfeed.Loader(generator(items, map=heavy), **way) as loader:
        for epoch in range(3):
            assert numbers_of(list(loader)) == list(range(N))
            assert items.begun == epoch + 1
        assert loader.stats().batches == 3 * N
    assert items.given == 3 * list(range(N))
    assert items.closed == 3


@pytest.mark.parametrize("way", WAYS[1:])
def test_unordered_batches_are_all_there(way: dict[str, Any]) -> None:
    with fastfeed.Loader(generator(Counting(), map=heavy), ordered=False, **way) as loader:
        for _ in range(3):
            assert sorted(numbers_of(list(loader))) == list(range(N))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("drop_last", [False, True])
def test_samples_are_collated_and_drawn_by_their_own_numbers(
    way: dict[str, Any], drop_last: bool
) -> None:
    options = {"batch_size": 5, "drop_last": drop_last, "seed": 3}
    received = fed(generator(Counting(), map=drawn), **options, **way)
    assert [len(batch[0]) for batch in received] == [5] * 4 + [3] * (not drop_last)
    one_by_one = fed(generator(Counting(), map=drawn), batch_size=1, seed=3, workers=0)
    mine, single = (
        [np.concatenate(column) for column in zip(*batches, strict=True)]
        for batches in (received, one_by_one)
    )
    threads = way.get("use_multiprocessing") is False  # they share the global numbers
    for column, expected in list(zip(mine, single, strict=True))[: 2 if threads else 3]:
        assert same(column, expected[: len(column)])
    assert len(set(mine[1])) == len(mine[1])


def test_random_numbers_differ_in_each_item_epoch_and_seed() -> None:
    def epochs(seed: int) -> list[float]:
        source = generator(lambda: iter(range(2)), map=drawn)
        with fastfeed.Loader(source, seed=seed, workers=0) as loader:
            return [batch[1] for _ in range(2) for batch in loader]

    assert epochs(1) == epochs(1)
    assert len({*epochs(1), *epochs(2)}) == 8


@pytest.mark.parametrize("way", WAYS)
def test_the_generator_runs_in_this_thread_and_no_further_ahead_than_the_queue(
    way: dict[str, Any],
) -> None:
    items, threads = Counting(1000), set()

    def watched() -> Iterator[int]:
        for number in items():
            threads.add(threading.get_ident())
            yield number

    with fastfeed.Loader(generator(watched, map=heavy), max_queue_size=4, **way) as loader:
        for taken, _ in enumerate(loader, 1):
            # A ticket that finds no slot is posted later, with the item that it has already.
            assert taken <= len(items.given) <= taken + 5
            if taken == 30:
                break
    assert threads == {threading.get_ident()}
    assert items.closed == 1, "its generator is closed with the loader"


@pytest.mark.parametrize("way", WAYS)
def test_after_a_break_the_next_epoch_begins_anew(way: dict[str, Any]) -> None:
    items = Counting()
    with fastfeed.Loader(generator(items, map=heavy), **way) as loader:
        for stop in (0, 3, N - 1):
            for taken, (x, _) in enumerate(loader):
                assert x[0, 0] == taken
                if taken == stop:
                    break
        assert numbers_of(list(loader)) == list(range(N))
    assert items.begun == items.closed == 4


@pytest.mark.parametrize("way", WAYS)
def test_an_iterator_goes_on_after_a_break_and_serves_one_pass(way: dict[str, Any]) -> None:
    mine = iter(range(N))
    with fastfeed.Loader(generator(mine, map=heavy), max_queue_size=3, **way) as loader:
        received = []
        for batch in loader:
            received.append(batch)
            if len(received) == 4:
                break
        received += list(loader)
        assert numbers_of(received) == list(range(N))
        with pytest.raises(SourceExhausted, match="range_iterator is used up"):
            iter(loader)
    with (
        fastfeed.Loader(generator(mine, map=heavy), **way) as loader,
        pytest.raises(SourceExhausted, match="gave nothing"),
    ):
        next(iter(loader))


@pytest.mark.parametrize("way", WAYS)
def test_an_iterator_of_the_users_is_left_open(way: dict[str, Any], tmp_path: Any) -> None:
    path = tmp_path / "lines"
    path.write_text("one\nfour\nsixteen\n" * 9)
    with path.open() as lines:
        with fastfeed.Loader(generator(lines, map=stripped), max_queue_size=2, **way) as loader:
            batches = iter(loader)
            assert [next(batches) for _ in range(3)] == [3, 4, 7]
        assert not lines.closed


@pytest.mark.parametrize("way", WAYS)
def test_a_list_is_gone_through_in_each_epoch(way: dict[str, Any]) -> None:
    with fastfeed.Loader(generator([4, 2, 7], map=heavy), **way) as loader:
        assert [numbers_of(list(loader)) for _ in range(2)] == [[4, 2, 7], [4, 2, 7]]


@pytest.mark.parametrize("way", WAYS)
def test_no_items_are_an_empty_epoch(way: dict[str, Any]) -> None:
    with fastfeed.Loader(generator(Counting(0), map=heavy), **way) as loader:
        assert [list(loader) for _ in range(2)] == [[], []]


@pytest.mark.parametrize("way", WAYS)
def test_the_generators_time_is_waiting_time_not_the_steps(way: dict[str, Any]) -> None:
    def sleepy() -> Iterator[int]:
        for number in range(30):
            time.sleep(0.01)
            yield number

    with fastfeed.Loader(generator(sleepy, map=heavy), max_queue_size=2, **way) as loader:
        assert len(list(loader)) == 30
        stats = loader.stats()
    assert stats.wait_seconds > 0.25  # all but the few that fill the queue
    assert stats.verdict.kind == ("generator" if stats.workers else "workers")


# -- failures -------------------------------------------------------------------------------


def failing(number: int) -> Iterator[int]:
    yield from range(number)
    raise KeyError(f"no item {number}")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("good", "ordered"), [(0, True), (9, False)])
def test_what_the_generator_raises_comes_after_the_batches_before_it(
    way: dict[str, Any], good: int, ordered: bool
) -> None:
    source = generator(functools.partial(failing, good), map=heavy)
    with fastfeed.Loader(source, ordered=ordered, **way) as loader:
        for _ in range(2):
            received = []
            batches = iter(loader)
            with pytest.raises(KeyError, match=f"no item {good}") as caught:
                for batch in batches:
                    received.append(batch)
            received = numbers_of(received)
            assert sorted(received) == list(range(good))
            assert received == sorted(received) or not ordered
            assert "failing" in [entry.name for entry in caught.traceback], "its own traceback"
            assert list(batches) == []


@pytest.mark.parametrize("way", WAYS)
def test_a_generator_function_that_cannot_begin_says_so_in_each_epoch(way: dict[str, Any]) -> None:
    def unable() -> Iterator[int]:
        return iter([][0])

    with fastfeed.Loader(generator(unable, map=heavy), **way) as loader:
        for _ in range(2):
            with pytest.raises(IndexError):
                iter(loader)


def test_a_generator_function_without_a_yield_is_named() -> None:
    def forgetful() -> None:
        pass

    with (
        fastfeed.Loader(generator(forgetful, map=heavy), workers=0) as loader,
        pytest.raises(SourceError, match=r"forgetful .* Is a `yield` missing\? Received: NoneType"),
    ):
        list(loader)


def picky(number: int) -> np.ndarray:
    if number % 5 == 2:
        raise OSError(f"file {number} is broken")
    return np.array([number])


@pytest.mark.parametrize("way", WAYS)
def test_what_map_raises_comes_in_its_place_and_names_the_item(way: dict[str, Any]) -> None:
    with fastfeed.Loader(generator(Counting(12), map=picky), **way) as loader:
        found = []
        batches = iter(loader)
        while len(found) < 12:
            try:
                found.append(int(next(batches)[0]))
            except OSError as error:
                assert "picky was called with item" in "".join(error.__notes__)
                found.append(str(error))
        assert next(batches, None) is None
    assert found == [n if n % 5 != 2 else f"file {n} is broken" for n in range(12)]


@pytest.mark.parametrize("way", WAYS)
def test_an_iterator_of_which_every_item_fails_is_not_called_empty(way: dict[str, Any]) -> None:
    with fastfeed.Loader(generator(iter([2, 7]), map=picky), **way) as loader:
        batches = iter(loader)
        for number in (2, 7):
            with pytest.raises(OSError, match=f"file {number} is broken"):
                next(batches)
        assert next(batches, None) is None


@pytest.mark.parametrize("way", WAYS)
def test_a_map_that_returns_nothing_is_told_so(way: dict[str, Any]) -> None:
    with (
        fastfeed.Loader(generator([1], map=print), **way) as loader,
        pytest.raises(SourceError, match="print returned None"),
    ):
        list(loader)


class Interrupting:
    """Is interrupted, as by Ctrl-C, while it makes item 3 of its first epoch."""

    epochs = 0

    def __call__(self) -> Iterator[int]:
        self.epochs += 1
        for number in range(6):
            if number == 3 and self.epochs == 1:
                raise KeyboardInterrupt
            yield number


@pytest.mark.parametrize("way", WAYS)
def test_ctrl_c_in_the_generator_comes_at_once_and_is_no_silent_end(way: dict[str, Any]) -> None:
    with fastfeed.Loader(generator(Interrupting(), map=heavy), **way) as loader:
        batches = iter(loader)
        with pytest.raises(KeyboardInterrupt):
            list(batches)
        with pytest.raises(SourceError, match="was interrupted in epoch 0"):
            list(batches)
        assert numbers_of(list(loader)) == list(range(6))


# -- arguments ------------------------------------------------------------------------------


def with_option(number: int, size: int) -> int:
    return number + size


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: generator(3, map=heavy), "generator function, an iterable or an"),
        (lambda: generator(dict, map=heavy), "generator function, an iterable or an"),
        (lambda: generator(Counting(), map=3), "map is the function"),
        (lambda: generator(Counting(), map=with_option), "functools.partial.*with_option.*size"),
        (lambda: generator(Counting(), map=lambda: 1), "map is called as"),
    ],
)
def test_wrong_arguments_are_refused_with_what_was_received(
    make: Callable[[], Any], words: str
) -> None:
    with pytest.raises(ArgumentError, match=words) as caught:
        make()
    assert "Received: " in str(caught.value)


def test_a_generator_function_with_arguments_is_refused() -> None:
    with pytest.raises(SourceError, match="needs the arguments"):
        generator(with_option, map=heavy)
    with pytest.raises(SourceError, match=r"needs the arguments \['shard', 'num_shards'\]"):
        generator(lambda shard, num_shards: iter(()), map=heavy)
    with pytest.raises(SourceError, match=r"needs the arguments \['shard'\], .* takes both"):
        fastfeed.Loader(lambda shard: iter(()))


def test_a_stream_is_not_shuffled() -> None:
    with pytest.raises(ArgumentError, match="cannot be shuffled"):
        fastfeed.Loader(generator(Counting(), map=heavy), shuffle=True)


def test_bound_arguments_and_methods_and_builtins_are_functions() -> None:
    bound = functools.partial(with_option, size=7)
    assert fed(generator([1, 2], map=bound), workers=0) == [8, 9]
    assert fed(generator(["ab", "c"], map=str.upper), workers=0) == ["AB", "C"]
    assert fed(generator([(1, 2)], map=max), workers=0) == [2]


def test_its_name_says_what_it_is() -> None:
    assert repr(generator([1], map=heavy)) == "fastfeed.generator(list, map=heavy)"


# -- ranks ----------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [None, 4])
def test_ranks_deal_the_items_among_them_and_leave_out_the_last_round(
    batch_size: int | None,
) -> None:
    world, rows = 3, batch_size or 1
    shares = [Share(batch_size, False, rank, world) for rank in range(world)]
    full, rest = list(range(rows * world)), list(range(rows * world - 1))
    assert [share.of(full) for share in shares] == [
        full[rank * rows : (rank + 1) * rows] for rank in range(world)
    ]
    assert [share.of(rest) for share in shares] == [[]] * world
    for first in (0, 5, 15):
        numbers = [number for share in shares for number in share.numbers(first)]
        assert numbers == list(range(first, first + rows * world))
