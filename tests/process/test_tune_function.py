"""`fastfeed.tune` with real workers, on work whose answer is known, and on sources that fail."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import fastfeed
from fastfeed.errors import ArgumentError, SourceError
from fastfeed.tuning.consumer import Step
from fastfeed.tuning.feeding import Feeding
from fastfeed.tuning.overlap import Comparison, one_block
from fastfeed.tuning.result import Ended, TuneResult

ROWS = np.zeros((8, 4), np.float32)


class Waits:
    """Batches that take 10 ms, without computing; at one index something else happens."""

    def __init__(self, at: int = -1, what: str = "") -> None:
        self.at, self.what = at, what

    def __len__(self) -> int:
        return 100

    def __getitem__(self, index: int) -> np.ndarray:
        if index == self.at:
            if self.what == "hang":
                time.sleep(600)
            elif self.what == "die":
                os._exit(3)
            raise OSError(f"no picture {index}")
        time.sleep(0.01)
        return ROWS


class Quick:
    def __len__(self) -> int:
        return 1000

    def __getitem__(self, index: int) -> np.ndarray:
        return ROWS


def stream() -> Iterator[np.ndarray]:
    while True:
        time.sleep(0.005)
        yield ROWS


class Heard:
    """Keeps what it is told; does something at a word."""

    def __init__(self, at: str = "", then: Any = None) -> None:
        self.lines: list[str] = []
        self._at, self._then = at, then

    def begin(self, what: str) -> None:
        self.lines.append(what)
        if self._at and self._at in what:
            self._then()

    def found(self, what: str) -> None:
        self.lines.append(what)


@pytest.fixture(scope="module")
def known() -> TuneResult:
    return fastfeed.tune(Waits(), 0.006, budget_seconds=4)


def test_work_that_waits_gets_the_workers_that_it_needs(known: TuneResult) -> None:
    assert known.ended in (Ended.DONE, Ended.OUT_OF_TIME), known.error  # others keep cores busy
    # 10 ms by 6 ms, and headroom: 2 or 3, and more where others keep cores busy
    assert 2 <= known.workers <= 6 or known.ended is Ended.OUT_OF_TIME
    assert known.workers + 1 <= known.max_queue_size < 40
    assert known.needed_workers is not None and 2 <= known.needed_workers <= 6
    assert known.step is not None and known.step.median >= 0.006
    assert [point.workers for point in known.points][:2] == [1, 2]
    assert all(point.make_mean_seconds >= 0.01 for point in known.points)
    assert known.slot_bytes >= ROWS.nbytes
    assert TuneResult.from_json(known.to_json()).to_json() == known.to_json()


def test_lanes_take_turns() -> None:
    comparison = Comparison(Feeding(Waits(), 1 << 30), Step(0.006), [(1, 3), (2, 4)])
    comparison.go(0.006, 2.0)
    rounds: dict[int, list[int]] = {}
    for block in comparison.blocks:
        rounds.setdefault(block.round, []).append(block.workers)
    assert rounds[0] == [2, 1]
    later = [rounds[number] for number in sorted(rounds)][1:]
    expected = itertools.cycle([[1, 2], [2, 1]])  # so that none is always the first
    assert all(turns == order[: len(turns)] for turns, order in zip(later, expected, strict=False))
    slow = [block for block in comparison.blocks if block.workers == 1]
    assert all(block.seconds_per_batch > 0.009 and block.stall > 0.15 for block in slow)


def test_a_queue_of_one_waits_as_predicted_and_shows_a_timeline() -> None:
    block, records = one_block(Feeding(Waits(), 1 << 30), Step(0.006), 2, 1, 0.8, 7)
    assert (block.workers, block.ahead, block.round) == (2, 1, 7)
    assert block.stall > 0.25  # each batch is begun when the one before is handed out
    assert len(records) >= block.batches
    assert set(np.diff(np.sort(records["sequence"].astype(int)))) == {1}
    assert (records["made_ns"] - records["started_ns"] >= 9e6).all()


def test_quick_batches_need_no_step_and_end_in_few_workers() -> None:
    heard = Heard()
    result = fastfeed.tune(Quick(), budget_seconds=2, watcher=heard)
    assert result.ended is Ended.DONE, result.error
    assert {0, 1} <= {point.workers for point in result.points}
    assert any(line.startswith("the calling thread alone: ") for line in heard.lines)
    assert result.step_seconds is not None and result.step_seconds < 0.001


def test_a_stream_that_cannot_be_divided_gets_one_worker() -> None:
    result = fastfeed.tune(stream, 0.001, budget_seconds=3)
    assert result.ended is Ended.DONE, result.error
    assert (result.workers, result.one_stream) == (1, True)
    assert "one stream" in result.verdict
    assert any("shard and num_shards" in warning for warning in result.warnings)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("raise", "The source failed with OSError: no picture 7."),
        ("die", "Making index 7 of epoch 0 ended its worker process"),
        ("hang", "an item of the source hangs"),
    ],
)
def test_what_fails_at_index_7_leaves_an_answer(what: str, said: str) -> None:
    result = fastfeed.tune(Waits(7, what), 0.006, budget_seconds=4)
    assert result.ended is Ended.FAILED
    assert said in result.error
    assert result.workers >= 1 and result.max_queue_size >= 2
    assert len(result.points) == 1
    assert len(result.points[0].make_seconds) >= 3
    assert any("batches were measured" in warning for warning in result.warnings)


def test_one_batch_that_takes_longer_than_the_budget() -> None:
    result = fastfeed.tune(Waits(0, "hang"), 0.006, budget_seconds=1)
    assert result.ended is Ended.OUT_OF_TIME
    assert "The budget of 1 s was used up." in result.error
    assert (result.points, result.bound) == ((), "default")
    assert "No batch was finished" in result.verdict


@pytest.mark.parametrize("at", [0, 3])
def test_a_step_that_fails(at: int) -> None:
    calls: list[Any] = []

    def step(batch: Any) -> None:
        calls.append(batch)
        if len(calls) > at:
            raise RuntimeError("shapes (8, 4) and (3,) not aligned")

    result = fastfeed.tune(Waits(), step, budget_seconds=2)
    assert result.ended is Ended.FAILED
    assert "The step failed with RuntimeError: shapes (8, 4)" in result.error
    assert calls[0].shape == (8, 4)
    assert len(result.points) == 1


def test_a_step_that_never_ends() -> None:
    result = fastfeed.tune(Waits(), lambda batch: time.sleep(600), budget_seconds=2)
    assert result.ended is Ended.OUT_OF_TIME
    assert "Not one step ended" in result.error
    assert result.step is None and result.points


@pytest.mark.parametrize("at", ["the step alone", "2 workers alone"])
def test_an_interrupt_gives_the_answer_so_far(at: str) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    result = fastfeed.tune(Waits(), 0.006, budget_seconds=4, watcher=Heard(at, interrupt))
    assert result.ended is Ended.INTERRUPTED
    assert result.points and result.workers >= 1


def test_several_ranks_share_the_cores() -> None:
    result = fastfeed.tune(Waits(), 0.02, budget_seconds=2, ranks=2, threads=True)
    assert result.ended is Ended.DONE, result.error
    assert result.points[0].workers == 1
    assert 0 < result.points[0].batches_per_second.mean < 150  # of each, not 200 of both
    assert "use_multiprocessing=False" in result.arguments
    assert not result.blocks


def test_several_ranks_of_a_stream_that_cannot_be_divided() -> None:
    result = fastfeed.tune(stream, 0.02, budget_seconds=2, ranks=2)
    assert result.ended is Ended.DONE, result.error
    assert [point.workers for point in result.points] == [1]
    assert 0 < result.points[0].batches_per_second.mean < 300


def test_in_another_thread_it_works_too() -> None:
    found: list[TuneResult] = []
    thread = threading.Thread(
        target=lambda: found.append(fastfeed.tune(Quick(), budget_seconds=1, threads=True))
    )
    thread.start()
    thread.join()
    assert found[0].ended is Ended.DONE, found[0].error


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"budget_seconds": 0.5}, "budget_seconds must be a number from 1 to"),
        ({"budget_seconds": "60"}, "budget_seconds must be a number"),
        ({"memory_bytes": 0}, "memory_bytes must be"),
        ({"ranks": True}, "ranks must be"),
        ({"step": -1}, "step must be"),
        ({"step": float("nan")}, "step must be"),
        ({"batch_size": 0}, "batch_size must be"),
        ({"framework": "mxnet"}, "framework"),
        ({"workers": 4}, "Besides its own arguments tune takes these of the Loader's: device"),
    ],
)
def test_arguments_that_are_wrong(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        fastfeed.tune(Waits(), **arguments)


@pytest.mark.parametrize(
    ("source", "error", "said"),
    [
        (42, SourceError, "A source is an object"),
        ([], SourceError, "is empty"),
        (iter([ROWS]), ArgumentError, "An iterator serves one pass"),
        (ROWS, ArgumentError, "batch_size=32"),
        (Waits, SourceError, "is a class"),
    ],
)
def test_what_is_no_source(source: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        fastfeed.tune(source)
