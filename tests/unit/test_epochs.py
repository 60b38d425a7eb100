"""Epochs: each item once, whatever overtakes what and wherever a loop is left."""

from __future__ import annotations

import itertools
import threading
import time
from typing import Any

import numpy as np
import pytest
from unit_sources import Batches

import fastfeed
from fastfeed import _core

WAYS: list[dict[str, Any]] = [
    {"workers": 0},
    {"workers": 2, "use_multiprocessing": False},
    {"workers": 2},
]


def number(index: int) -> np.ndarray:
    return np.array([index])


class Slow:
    """The calls number 0, 1, 2, ... take so many seconds, whichever item they ask for."""

    def __init__(self, length: int, seconds: dict[int, float]) -> None:
        self.length = length
        self.seconds = seconds
        self.calls = itertools.count()
        self.lock = threading.Lock()

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> np.ndarray:
        with self.lock:
            call = next(self.calls)
        time.sleep(self.seconds.get(call, 0))
        return number(index)


class Counting:
    """Every batch tells how often the hooks were called on this copy of the source."""

    def __init__(self, length: int) -> None:
        self.length = length
        self.ended = self.begun = 0

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> np.ndarray:
        return np.array([self.ended, self.begun])

    def on_epoch_end(self) -> None:
        self.ended += 1

    def on_epoch_begin(self) -> None:
        self.begun += 1


def test_an_unordered_item_that_everything_else_overtakes_is_not_lost() -> None:
    source = Slow(60, {0: 0.3})
    options = {"workers": 2, "use_multiprocessing": False, "max_queue_size": 2, "ordered": False}
    with fastfeed.Loader(source, **options) as loader:
        assert sorted(int(batch[0]) for batch in loader) == list(range(60))
        assert loader.stats().batches == 60


def test_batches_of_several_later_epochs_may_be_finished_before_this_one() -> None:
    source = Slow(2, {0: 0.3, 2: 0.15})  # an item of epoch 1 is made after all of epoch 2
    options = {"workers": 3, "use_multiprocessing": False, "ordered": False}
    with fastfeed.Loader(source, **options) as loader:
        for _ in range(5):
            assert sorted(int(batch[0]) for batch in loader) == [0, 1]


@pytest.mark.parametrize("way", WAYS)
def test_short_epochs_can_be_left_and_the_next_one_is_whole(way: dict[str, Any]) -> None:
    with fastfeed.Loader(Batches(number, 2), **way) as loader:
        for _ in range(3):
            next(iter(loader))
        assert [int(batch[0]) for batch in loader] == [0, 1]
        assert [int(batch[0]) for batch in loader] == [0, 1]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("length", [2, 9])
def test_hooks_are_called_once_an_epoch(way: dict[str, Any], length: int) -> None:
    with fastfeed.Loader(Counting(length), **way) as loader:
        for epoch in range(4):
            assert [list(batch) for batch in loader] == [[epoch, epoch + 1]] * length


@pytest.mark.parametrize("way", WAYS)
def test_hooks_are_called_once_for_an_epoch_that_was_left(way: dict[str, Any]) -> None:
    with fastfeed.Loader(Counting(2), **way) as loader:
        for epoch in range(4):
            assert list(next(iter(loader))) == [epoch, epoch + 1]


@pytest.mark.parametrize("way", WAYS)
def test_a_loop_that_was_replaced_by_a_newer_one_says_so(way: dict[str, Any]) -> None:
    with fastfeed.Loader(Batches(number, 4), **way) as loader:
        older, newer = iter(loader), iter(loader)
        with pytest.raises(fastfeed.FastFeedError, match="ended by a newer one"):
            next(older)
        assert [int(batch[0]) for batch in newer] == [0, 1, 2, 3]


@pytest.mark.parametrize("way", WAYS)
def test_a_closed_loader_that_is_still_referenced_keeps_no_memory(way: dict[str, Any]) -> None:
    loader = fastfeed.Loader(Batches(number, 4), **way)
    assert [int(batch[0]) for batch in loader] == [0, 1, 2, 3]
    loader.close()
    assert _core.segments_alive() == 0


@pytest.mark.parametrize("way", WAYS[:2])
@pytest.mark.parametrize("queue", [1, 10])
def test_a_hook_that_fails_is_heard_of_when_the_next_epoch_begins(
    way: dict[str, Any], queue: int
) -> None:
    class Source(Batches):
        def on_epoch_end(self) -> None:
            if not failures:
                failures.append(1)
                raise KeyError("a hook that fails")

    failures: list[int] = []
    with fastfeed.Loader(Source(number, 4), max_queue_size=queue, **way) as loader:
        assert [int(batch[0]) for batch in loader] == [0, 1, 2, 3]
        with pytest.raises(KeyError, match="a hook that fails"):
            iter(loader)
        assert [int(batch[0]) for batch in loader] == [0, 1, 2, 3]


def test_a_batch_that_is_lost_by_an_interrupt_takes_no_place_in_the_queue_for_ever() -> None:
    with fastfeed.Loader(Batches(number, 9), workers=2, max_queue_size=2) as loader:
        for _ in range(3):
            assert next(iter(loader))[0] == 0
            while loader._engine._ring.take_wait() is None:  # Ctrl-C came before it was opened
                pass
        assert [int(batch[0]) for batch in loader] == list(range(9))


@pytest.mark.parametrize("ordered", [True, False])
def test_a_loop_that_goes_on_after_such_an_interrupt_ends(ordered: bool) -> None:
    with fastfeed.Loader(Batches(number, 9), workers=2, ordered=ordered) as loader:
        for _ in range(3):
            batches = iter(loader)
            next(batches)
            while loader._engine._ring.take_wait(ordered) is None:
                pass
            assert len(list(batches)) == 7
        assert sorted(int(batch[0]) for batch in loader) == list(range(9))
