"""A loader goes on where a state was taken: nothing lost, nothing twice, the same numbers."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from unit_random import Random, SelfShuffling
from unit_sources import Batches, private

import fastfeed
from fastfeed.errors import ArgumentError, SourceExhausted, StateMismatch

CALLER: dict[str, Any] = {"workers": 0}
THREADS: dict[str, Any] = {"workers": 2, "use_multiprocessing": False}
PROCESSES: dict[str, Any] = {"workers": 2}
LENGTH = 23
MIXED: dict[str, Any] = {"shuffle": True, "seed": 4}


class Samples:
    """A sample is its number and random numbers of its own."""

    def __len__(self) -> int:
        return LENGTH

    def __getitem__(self, index: int) -> np.ndarray:
        return np.array([index, *np.random.rand(2)])


def numbers() -> Iterator[np.ndarray]:
    for index in range(LENGTH):
        yield np.array([float(index)])


def divided(shard: int, num_shards: int) -> Iterator[np.ndarray]:
    yield from itertools.islice(numbers(), shard, None, num_shards)


def noisy(light: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return light + rng.random()


KINDS: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
    "batches": (Random, MIXED),
    "samples": (Samples, {"batch_size": 4, **MIXED}),
    "arrays": (lambda: (np.arange(LENGTH), np.ones((LENGTH, 2))), {"batch_size": 4, **MIXED}),
    "generator": (lambda: numbers, {}),
    "samples of a generator": (lambda: numbers, {"batch_size": 4}),
    "divided": (lambda: divided, {"batch_size": 2}),
    "light": (lambda: fastfeed.generator(numbers, map=noisy), {"batch_size": 3}),
    "own order": (SelfShuffling, {}),
}


def lists(batches: Any) -> list[Any]:
    """Batches as lists of numbers."""
    parts = (batch if isinstance(batch, tuple) else (batch,) for batch in batches)
    return [[private(part).tolist() for part in batch] for batch in parts]


def state_after(loader: fastfeed.Loader, batches: int) -> Any:
    """Take so many batches; return the state as a file gives it back."""
    loop = iter(loader)
    for _ in range(batches):
        next(loop)
    return json.loads(json.dumps(loader.state_dict()))


# -- on a new loader ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "way"),
    [
        *((kind, CALLER) for kind in KINDS),
        *((kind, THREADS) for kind in ("arrays", "generator", "divided", "light")),
        *((kind, PROCESSES) for kind in ("samples", "divided", "light", "own order")),
    ],
)
def test_a_new_loader_goes_on_anywhere(kind: str, way: dict[str, Any]) -> None:
    make, options = KINDS[kind]
    with fastfeed.Loader(make(), **options, **way) as loader:
        whole = [lists(loader) for _ in range(3)]
        taken = len(whole[0]) // 2
        state = state_after(loader, taken)
    assert (state["epoch"], state["version"]) == (3, 1)
    with fastfeed.Loader(make(), **options, **way) as loader:
        loader.load_state_dict(state)
        assert loader.state_dict() == state
        rest = lists(loader)
        after = lists(loader)
        later = state_after(loader, 0)
    with fastfeed.Loader(make(), **options, **way) as loader:
        loader.load_state_dict({**state, "epoch": 1})
        assert lists(loader) == whole[1][taken:]
        assert lists(loader) == whole[2]
    assert len(rest) == len(whole[0]) - taken
    assert len(after) == len(whole[0])
    assert (later["epoch"], later["consumed"]) == (5, 0)


@pytest.mark.parametrize("kind", ["batches", "arrays", "generator", "light"])
def test_every_point_of_an_epoch(kind: str) -> None:
    make, options = KINDS[kind]
    with fastfeed.Loader(make(), workers=0, **options) as loader:
        whole = [lists(loader) for _ in range(2)]
        states = [loader.state_dict()]
        with fastfeed.Loader(make(), workers=0, **options) as other:
            for _ in other:
                states.append(other.state_dict())
    for taken, state in enumerate(states[1:], 1):
        with fastfeed.Loader(make(), workers=0, **options) as loader:
            loader.load_state_dict(state)
            seen = [*lists(loader), *lists(loader)]
        left = [*whole[0][taken:], *whole[1]]
        assert seen[: len(left)] == left


def test_the_end_of_an_epoch_is_the_begin_of_the_next() -> None:
    with fastfeed.Loader(Samples(), 4, workers=2) as loader:
        assert loader.state_dict()["epoch"] == 0
        states = [state_after(loader, len(loader) - 1)]
        for _ in loader:
            states.append(loader.state_dict())
    assert [(state["epoch"], state["consumed"]) for state in states] == [
        (0, 20), (1, 4), (1, 8), (1, 12), (1, 16), (1, 20), (2, 0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({"workers": 2, "rows": True}, {"workers": 0}),
        ({"workers": 0}, {"workers": 2, "rows": True, "max_queue_size": 1}),
        ({"workers": 2, "max_queue_size": 30}, {"workers": 2, "use_multiprocessing": False}),
    ],
)
def test_workers_and_what_was_made_ahead_are_no_part_of_it(first: Any, then: Any) -> None:
    if then.get("use_multiprocessing", True):
        source: Any = Samples()  # with the global random numbers, which threads share
    else:
        source = np.random.default_rng(0).random((LENGTH, 3))
    with fastfeed.Loader(source, 4, workers=0, **MIXED) as loader:
        whole = lists(loader)
    with fastfeed.Loader(source, 4, **first, **MIXED) as loader:
        state = state_after(loader, 2)
    with fastfeed.Loader(source, 4, **then, **MIXED) as loader:
        loader.load_state_dict(state)
        assert lists(loader) == whole[2:]


@pytest.mark.parametrize("uneven", ["drop", "pad", "short"])
def test_three_ranks_stop_and_two_with_other_batches_go_on(uneven: Any) -> None:
    def run(loader: fastfeed.Loader, steps: int | None) -> list[tuple[float, ...]]:
        return [tuple(row) for batch in itertools.islice(loader, steps) for row in private(batch)]

    options: dict[str, Any] = {"uneven": uneven, "workers": 0, **MIXED}
    seen, states = [], []
    for rank in range(3):
        with fastfeed.Loader(Samples(), 2, shard=(rank, 3), **options) as loader:
            seen += run(loader, 2)
            states.append(loader.state_dict())
    assert states == [states[0]] * 3
    assert states[0]["consumed"] == 12
    for rank in range(2):
        with fastfeed.Loader(Samples(), 3, shard=(rank, 2), **options) as loader:
            loader.load_state_dict(states[0])
            seen += run(loader, None)
    with fastfeed.Loader(Samples(), LENGTH, workers=0, **MIXED) as loader:
        whole = set(run(loader, None))
    assert set(seen) <= whole
    assert [len(seen), len(set(seen))] == {
        "drop": [18, 18],  # 5 are too few for a step of 6
        "short": [LENGTH, LENGTH],
        "pad": [24, LENGTH],
    }[uneven]


def test_what_is_left_is_too_little_for_a_step_of_more_ranks() -> None:
    with fastfeed.Loader(np.arange(10), 4, drop_last=True, workers=0) as loader:
        state = state_after(loader, 1)
    options: dict[str, Any] = {"shard": (0, 2), "workers": 0}
    with fastfeed.Loader(np.arange(10), 4, **options) as loader:
        loader.load_state_dict(state)  # 6 are left, and a step takes 8
        assert loader.state_dict() == {**state, "epoch": 1, "consumed": 0}
        assert lists(loader) == [[[0, 1, 2, 3]]]


def test_a_batch_that_failed_was_consumed() -> None:
    class Failing(Batches):
        def __getitem__(self, index: int) -> Any:
            if index == 1:
                raise LookupError("no picture number 1")
            return np.array([index])

    with fastfeed.Loader(Failing(None, 4), workers=2) as loader:  # type: ignore[arg-type]
        loop = iter(loader)
        next(loop)
        with pytest.raises(LookupError, match="no picture"):
            next(loop)
        state = loader.state_dict()
    with fastfeed.Loader(Failing(None, 4), workers=2) as loader:  # type: ignore[arg-type]
        loader.load_state_dict(state)
        assert lists(loader) == [[[2]], [[3]]]


def test_an_endless_source_goes_on_at_its_index() -> None:
    class Endless(Batches):
        num_batches = None

    with fastfeed.Loader(Endless(lambda index: np.array([index])), workers=2) as loader:
        state = state_after(loader, 7)
    assert (state["length"], state["consumed"]) == (0, 7)
    with fastfeed.Loader(Endless(lambda index: np.array([index])), workers=2) as loader:
        loader.load_state_dict(state)
        assert lists(itertools.islice(loader, 3)) == [[[7]], [[8]], [[9]]]


# -- streams --------------------------------------------------------------------------------


def test_an_iterator_is_run_forward() -> None:
    with fastfeed.Loader(numbers()) as loader:
        state = state_after(loader, 5)
        next(iter(loader))  # goes on, as it does without a state
        assert loader.state_dict() == {**state, "consumed": 6}
        assert len(lists(loader)) == LENGTH - 6
        assert loader.state_dict() == {**state, "consumed": LENGTH}
        with pytest.raises(ArgumentError, match=r"in epoch 0 already.*only goes forward"):
            loader.load_state_dict(state)
    with fastfeed.Loader(numbers()) as loader:
        loader.load_state_dict(state)
        assert lists(loader) == [[[float(index)]] for index in range(5, LENGTH)]
        with pytest.raises(SourceExhausted):
            iter(loader)


def test_running_forward_goes_on_after_it_was_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    with fastfeed.Loader(numbers, workers=0) as loader:
        state = state_after(loader, 7)
    with fastfeed.Loader(numbers, workers=0) as loader:
        loader.load_state_dict(state)
        take, calls = loader._progress._take, itertools.count()

        def interrupted() -> Any:
            if next(calls) == 3:
                raise KeyboardInterrupt
            return take()

        monkeypatch.setattr(loader._progress, "_take", interrupted)
        with pytest.raises(KeyboardInterrupt):
            iter(loader)
        assert loader.state_dict() == state
        assert lists(loader) == [[[float(index)]] for index in range(7, LENGTH)]


def test_batches_that_the_program_has_taken_ahead_are_not_counted() -> None:
    with fastfeed.Loader(np.arange(12), 4, workers=0) as loader:
        states = []
        for taken, _ in enumerate(loader):
            states.append(loader.state_dict(unread=taken))
        assert loader.state_dict(unread=1)["consumed"] == 8
        assert loader.state_dict()["epoch"] == 1
        for unread in (4, -1, 1.0, "1"):
            with pytest.raises(ArgumentError, match=f"and 3 were.*unread={unread!r}"):
                loader.state_dict(unread=unread)  # type: ignore[arg-type]
    assert [(state["epoch"], state["consumed"]) for state in states] == [(0, 4)] * 3


# -- on a loader that was used --------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "way"),
    [("batches", CALLER), ("arrays", CALLER), ("arrays", THREADS), ("samples", PROCESSES)],
)
def test_a_used_loader_goes_back_and_ahead(kind: str, way: dict[str, Any]) -> None:
    make, options = KINDS[kind]
    with fastfeed.Loader(make(), **options, **way) as loader:
        whole = [lists(loader), lists(loader)]
        back = state_after(loader, 2)
        for epoch, taken in [(1, 3), (0, 0), (1, 3), (1, 0)]:
            size = back["consumed"] // 2
            loader.load_state_dict({**back, "epoch": epoch, "consumed": taken * size})
            assert lists(loader) == whole[epoch][taken:]
        loader.load_state_dict({**back, "epoch": 0})
        assert next(iter(loader)) is not None
        loader.load_state_dict({**back, "epoch": 0})  # in the middle, where much is made ahead
        assert lists(loader) == whole[0][2:]
        assert lists(loader) == whole[1]


def test_what_was_made_of_the_next_epoch_is_dropped() -> None:
    with fastfeed.Loader(np.arange(8), 4, workers=1, shuffle=True) as loader:
        whole = [lists(loader) for _ in range(3)]  # a queue of ten: five epochs ahead
        state = {**loader.state_dict(), "epoch": 1, "consumed": 4}
        for _ in range(3):
            loader.load_state_dict(state)
            assert [lists(loader), lists(loader)] == [whole[1][1:], whole[2]]


def test_a_loop_ends_with_the_state_that_is_loaded() -> None:
    with fastfeed.Loader(np.arange(8), 4, workers=0) as loader:
        loop = iter(loader)
        next(loop)
        loader.load_state_dict(loader.state_dict())
        with pytest.raises(fastfeed.FastFeedError, match=r"ended by a newer one.*load_state_dict"):
            next(loop)
        assert lists(loader) == [[[4, 5, 6, 7]]]


@pytest.mark.parametrize("kind", ["own order", "generator", "light", "iterator"])
def test_what_goes_forward_only_can_be_taken_forward_in_its_epoch(kind: str) -> None:
    make, options = (numbers, {}) if kind == "iterator" else KINDS[kind]
    with fastfeed.Loader(make(), workers=1, **options) as loader:
        whole = lists(loader)
    with fastfeed.Loader(make(), workers=1, **options) as loader:
        here = state_after(loader, 2)
        later = {**here, "consumed": here["consumed"] * 2}
        loader.load_state_dict(later)
        assert loader.state_dict() == later
        assert lists(loader) == whole[4:]


@pytest.mark.parametrize("kind", ["own order", "generator", "light"])
def test_what_goes_forward_only_is_not_taken_back(kind: str) -> None:
    make, options = KINDS[kind]
    with fastfeed.Loader(make(), workers=2, **options) as loader:
        state = state_after(loader, 1)
        next(iter(loader))
        here = loader.state_dict()
        with pytest.raises(ArgumentError, match=r"in epoch 1 already.*Make a new source and a new"):
            loader.load_state_dict(state)
        with pytest.raises(ArgumentError, match=r"in epoch 1 already"):
            loader.load_state_dict({**here, "consumed": 0})
        assert loader.state_dict() == here
    with fastfeed.Loader(make(), workers=2, **options) as loader:
        whole = [lists(loader) for _ in range(3)]
    with fastfeed.Loader(make(), workers=2, **options) as loader:
        next(iter(loader))
        loader.load_state_dict({**state, "epoch": 2})
        assert lists(loader) == whole[2][1:]


def test_the_workers_of_a_source_with_hooks_catch_up() -> None:
    with fastfeed.Loader(SelfShuffling(), workers=0) as loader:
        whole = [lists(loader) for _ in range(4)]
        state = state_after(loader, 3)
    for workers in (0, 2):
        with fastfeed.Loader(SelfShuffling(), workers=workers) as loader:
            loader.load_state_dict({**state, "epoch": 2})
            assert lists(loader) == whole[2][3:]
            assert lists(loader) == whole[3]


def test_a_hook_that_fails_does_not_lose_the_place() -> None:
    class Source(Batches):
        def on_epoch_end(self) -> None:
            if not failures:
                failures.append(1)
                raise KeyError("a hook that fails")

    failures: list[int] = [1]
    with fastfeed.Loader(Source(lambda index: np.array([index]), 4), workers=0) as loader:
        state = {**state_after(loader, 1), "epoch": 1}
    failures.clear()
    with fastfeed.Loader(Source(lambda index: np.array([index]), 4), workers=0) as loader:
        loader.load_state_dict(state)
        with pytest.raises(KeyError, match="a hook that fails"):
            iter(loader)
        assert loader.state_dict() == state
        assert lists(loader) == [[[1]], [[2]], [[3]]]


# -- what is refused ------------------------------------------------------------------------


def test_a_stream_that_gives_less_than_before() -> None:
    with fastfeed.Loader(numbers, workers=0) as loader:
        state = state_after(loader, 5)
    with fastfeed.Loader(numbers, workers=0) as loader:
        loader.load_state_dict({**state, "consumed": LENGTH + 1})
        for _ in range(2):
            with pytest.raises(StateMismatch, match=r"ended after 23 batches.*24"):
                iter(loader)
