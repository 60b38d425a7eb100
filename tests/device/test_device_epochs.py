"""Epochs on a simulated GPU: order, loops that are left, exceptions and deaths in their place."""

from __future__ import annotations

import functools
import itertools
import os
import signal
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from device_support import (
    Batches,
    Divided,
    assert_same,
    each_kind,
    each_workers,
    index_of,
    indices,
    made_by_hand,
    outcomes,
    raise_at,
    wait_until_ready,
)
from leftovers import eventually, worker_pids
from process_sources import once
from simulated_gpu import Gpu

from fastfeed import Loader
from fastfeed.errors import SourceExhausted, WorkerCrashed


def die_at(place: int, index: int) -> None:
    if index == place:
        os._exit(7)


def die_once_at(marker: str, place: int, index: int) -> None:
    if index == place and once(marker):
        os._exit(7)


def wait_for_the_next_epoch(folder: str, index: int) -> None:
    """Let the last batch of the first epoch be made after the fourth of the second."""
    if not once(Path(folder, str(index))):
        once(Path(folder, f"{index} again"))
    elif index == 7:
        assert eventually(Path(folder, "3 again").exists)


# -- order ----------------------------------------------------------------------------------


@each_kind
@pytest.mark.parametrize("queue", [1, 7])
def test_batches_are_those_of_the_calling_thread_whatever_waits_on_the_device(
    gpu: Gpu, kind: dict[str, Any], queue: int
) -> None:
    expected = made_by_hand(Batches(12), epochs=2)
    with Loader(Batches(12), device="cuda", device_queue_size=queue, **kind) as loader:
        for epoch in range(2):
            assert_same(loader, expected[epoch])


@each_workers
def test_the_next_epoch_leaves_the_last_batch_of_this_one_its_place(
    gpu: Gpu, kind: dict[str, Any], tmp_path: Path
) -> None:
    source = Batches(8, functools.partial(wait_for_the_next_epoch, str(tmp_path)))
    options = {"device": "cuda", "ordered": False, "stable_addresses": True} | kind
    with Loader(source, **options) as loader:
        for _ in range(2):
            assert sorted(indices(loader)) == list(range(8))
    assert Path(tmp_path, "3 again").exists()


@each_kind
def test_shuffled_epochs_have_the_order_that_they_have_without_a_device(
    gpu: Gpu, kind: dict[str, Any]
) -> None:
    expected = made_by_hand(Batches(15), epochs=3, shuffle=True, seed=4)
    with Loader(Batches(15), device="cuda", shuffle=True, seed=4, **kind) as loader:
        for epoch in range(3):
            assert_same(loader, expected[epoch])
    assert indices(expected[0]) != indices(expected[1])


@each_workers
def test_unordered_batches_come_once_an_epoch(gpu: Gpu, kind: dict[str, Any]) -> None:
    expected = made_by_hand(Batches(30))[0]
    with Loader(Batches(30), device="cuda", ordered=False, **kind) as loader:
        for _ in range(3):
            kept = sorted(loader, key=index_of)
            assert_same(kept, expected)


def test_arrays_and_a_batch_size_give_rows_in_order(gpu: Gpu) -> None:
    x, y = np.arange(300, dtype="float32").reshape(100, 3), np.arange(100)
    with Loader((x, y), batch_size=32, device="cuda", workers=2) as loader:
        given = list(loader)
        assert [batch[0].shape for batch in given] == [(32, 3)] * 3 + [(4, 3)]
        np.testing.assert_array_equal(np.concatenate([np.asarray(a) for a, _ in given]), x)
        np.testing.assert_array_equal(np.concatenate([np.asarray(b) for _, b in given]), y)


# -- streams --------------------------------------------------------------------------------


@each_kind
@pytest.mark.parametrize("length", [0, 1, 17])
def test_a_divided_generator_gives_everything_once(
    gpu: Gpu, kind: dict[str, Any], length: int
) -> None:
    with Loader(Divided(length), device="cuda", **kind) as loader:
        for _ in range(3):
            assert indices(loader) == list(range(length))


def test_shards_of_different_lengths_end_each_in_its_place(gpu: Gpu) -> None:
    def uneven(shard: int, num_shards: int) -> Iterator[np.ndarray]:
        for number in range((3, 9, 0)[shard]):
            yield np.full(2, 10 * shard + number)

    with Loader(uneven, device="cuda", workers=3) as loader:
        for _ in range(2):
            expected = [0, 10, 1, 11, 2, 12, 13, 14, 15, 16, 17, 18]
            assert indices(loader) == expected


def test_an_undivided_generator_and_an_iterator(gpu: Gpu) -> None:
    def numbers() -> Iterator[np.ndarray]:
        for number in range(9):
            yield np.full(4, number)

    with Loader(numbers, device="cuda") as loader:
        assert indices(loader) == indices(loader) == list(range(9))
    with Loader(numbers(), device="cuda") as loader:
        assert indices(itertools.islice(loader, 4)) == [0, 1, 2, 3]
        assert indices(loader) == [4, 5, 6, 7, 8]
        with pytest.raises(SourceExhausted):
            iter(loader)


# -- loops that are left --------------------------------------------------------------------


@each_kind
@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("taken", [0, 1, 9])
def test_after_a_break_the_next_epoch_is_whole(
    gpu: Gpu, kind: dict[str, Any], ordered: bool, taken: int
) -> None:
    with Loader(Batches(10), device="cuda", ordered=ordered, **kind) as loader:
        for _ in range(2):
            assert len(indices(itertools.islice(loader, taken))) == taken
            assert sorted(indices(loader)) == list(range(10))


def test_what_a_loop_that_was_left_had_ordered_is_not_uploaded(gpu: Gpu, tmp_path: Path) -> None:
    made = tmp_path / "made"

    def hold_back(index: int) -> None:
        if index == 3:
            assert eventually(made.exists)

    source = Batches(8, hold_back)
    with Loader(source, device="cuda", workers=1, device_queue_size=4) as loader:
        assert indices(itertools.islice(loader, 3)) == [0, 1, 2]  # 3 is in the making
        before = loader.stats().device
        assert before is not None and before.uploads == 3
        batches = iter(loader)  # 3 is stale from here on
        made.touch()
        assert indices(batches) == list(range(8))
        after = loader.stats().device
        assert after is not None
        # All of this epoch, and of the next one what waits already.
        assert 3 + 8 <= after.uploads <= 3 + 8 + 4
        assert loader.stats().batches == 11


def test_a_stream_that_was_left_begins_again(gpu: Gpu) -> None:
    with Loader(Divided(20), device="cuda", workers=2) as loader:
        for batch in loader:
            if index_of(batch) == 7:
                break
        assert indices(loader) == list(range(20))


def test_fifty_loops_left_at_once_and_a_whole_one(gpu: Gpu) -> None:
    with Loader(Batches(6), device="cuda", workers=2) as loader:
        for place in range(50):
            assert indices(itertools.islice(loader, place % 3)) == list(range(place % 3))
        assert indices(loader) == list(range(6))


# -- exceptions and deaths ------------------------------------------------------------------


@each_kind
@pytest.mark.parametrize("places", [(0,), (4, 9), tuple(range(10))])
def test_exceptions_come_in_the_place_of_their_items(
    gpu: Gpu, kind: dict[str, Any], places: tuple[int, ...]
) -> None:
    source = Batches(10, raise_at(*places))
    with Loader(source, device="cuda", **kind) as loader:
        for _ in range(2):
            found = outcomes(loader)
            for index, outcome in enumerate(found):
                if index in places:
                    assert type(outcome) is KeyError and f"item {index}" in str(outcome)
                else:
                    assert outcome == index
            assert len(found) == 10


def test_an_exception_in_a_divided_generator_comes_in_its_place(gpu: Gpu) -> None:
    with Loader(Divided(12, raise_at(5)), device="cuda", workers=2) as loader:
        found = outcomes(loader)
    places = [place for place, outcome in enumerate(found) if isinstance(outcome, KeyError)]
    assert places == [5]
    assert found[:5] == [0, 1, 2, 3, 4]


def test_an_item_that_kills_its_workers_is_an_error_in_its_place(gpu: Gpu) -> None:
    source = Batches(8, functools.partial(die_at, 4))
    with Loader(source, device="cuda", workers=2) as loader:
        found = outcomes(loader)
        assert found[:4] + found[5:] == [0, 1, 2, 3, 5, 6, 7]
        assert type(found[4]) is WorkerCrashed and found[4].index == 4
        stats = loader.stats()
        assert stats.worker_restarts >= 1


@pytest.mark.parametrize("place", [0, 5])
def test_an_item_whose_worker_dies_once_is_made_again(gpu: Gpu, tmp_path: Path, place: int) -> None:
    died = tmp_path / "died"
    source = Batches(8, functools.partial(die_once_at, str(died), place))
    with Loader(source, device="cuda", workers=2) as loader:
        assert_same(loader, made_by_hand(Batches(8))[0])
        assert died.exists()
        assert loader.stats().worker_restarts <= 1  # it is replaced when a loop waits next


def test_workers_that_are_killed_while_their_slots_are_copied_change_nothing(gpu: Gpu) -> None:
    expected = made_by_hand(Batches(30))[0]
    most_ahead = 4 + 2  # of which none needs a worker any more
    with Loader(Batches(30), device="cuda", workers=2, max_queue_size=4) as loader:
        batches = iter(loader)
        given = [next(batches) for _ in range(2)]  # there are slots now
        gpu.lib.sim_slowness(5000)
        given.append(next(batches))
        for _ in range(3):
            wait_until_ready(loader)
            for pid in worker_pids():
                os.kill(pid, signal.SIGKILL)
            given.extend(itertools.islice(batches, most_ahead + 1))
        gpu.lib.sim_slowness(200)
        given.extend(batches)
        assert_same(given, expected)
        assert loader.stats().worker_restarts >= 2


def test_exceptions_that_lie_in_slots_while_others_are_copied_are_not_taken_for_kept_batches(
    gpu: Gpu,
) -> None:
    source = Batches(12, raise_at(*range(3, 12, 2)))
    with (
        warnings.catch_warnings(),
        Loader(source, device="cuda", workers=1, max_queue_size=1) as loader,
    ):
        warnings.simplefilter("error")
        gpu.lib.sim_slowness(3000)
        for _ in range(3):
            found = outcomes(loader)
            assert [type(outcome) for outcome in found] == [int] * 3 + [KeyError, int] * 4 + [
                KeyError
            ]
