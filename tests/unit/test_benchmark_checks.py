"""``fastfeed bench`` counts and compares batches: what is wrong does not become a figure."""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np
import pytest
from unit_bench import expected_of

from fastfeed.benchmark.checks import WrongBatches, check, checksum, leaves
from fastfeed.benchmark.lane import root_cause, timed_epoch
from fastfeed.benchmark.process import cpu_clock
from fastfeed.benchmark.task import Task, WorkSpec

BATCHES = [np.arange(6, dtype=np.int32) + number for number in range(3)]


def test_leaves_come_in_the_order_of_the_keys_and_without_copies() -> None:
    one, other = np.ones(3), np.zeros(2)
    found = leaves({"b": (one, None), "a": [other, 5]})
    assert found[0] is other and found[2] is one
    assert found[1] == 5


@pytest.mark.parametrize("batch", BATCHES, ids=str)
def test_a_right_batch_passes(batch: np.ndarray) -> None:
    number = int(batch[0])
    check(number, (batch.copy(),), expected_of(BATCHES))


@pytest.mark.parametrize(
    ("batch", "said"),
    [
        (BATCHES[1], "batch 0 has other contents"),
        (BATCHES[0][:-1], "batch 0 has 20 bytes in place of 24"),
        (BATCHES[0].astype(np.float32), "batch 0 has other contents"),
        ((BATCHES[0], BATCHES[0]), "batch 0 has 48 bytes in place of 24"),
    ],
    ids=["another", "shorter", "dtype", "twice"],
)
def test_a_wrong_batch_is_found(batch: Any, said: str) -> None:
    with pytest.raises(WrongBatches, match=said):
        check(0, batch, expected_of(BATCHES))


def test_contents_that_differ_at_each_call_are_not_compared() -> None:
    check(0, np.zeros(6, np.int32), expected_of(BATCHES, contents=False))
    with pytest.raises(WrongBatches, match="bytes"):
        check(0, np.zeros(7, np.int32), expected_of(BATCHES, contents=False))


def test_the_checksum_sees_bytes_in_the_order_of_the_array() -> None:
    array = np.arange(12).reshape(3, 4)
    assert checksum([array.T]) == checksum([np.ascontiguousarray(array.T)]) != checksum([array])


@pytest.mark.parametrize("given", [0, 9, 11, 30])
def test_an_epoch_of_another_length_is_wrong(given: int) -> None:
    with pytest.raises(WrongBatches, match=f"an epoch of 10 batches gave {given}$"):
        timed_epoch(iter(range(given)), 10, untimed=4, step=0.0)


def test_an_epoch_is_timed_with_the_consumers_steps() -> None:
    assert timed_epoch(iter(range(10)), 10, untimed=4, step=0.002) >= 0.002


def test_the_first_error_is_named_not_its_wrapping() -> None:
    inner = ValueError("boom")
    outer = RuntimeError("a stage failed")
    outer.__cause__ = inner
    assert root_cause(outer) == "ValueError: boom"
    text = "Caught it in worker 1.\nTraceback (most recent call last):\n  f()\nKeyError: 'x'\n"
    assert root_cause(RuntimeError(text)) == "KeyError: 'x'"
    assert root_cause(OSError("one\ntwo")) == "OSError: one"
    assert root_cause(StopIteration()) == "StopIteration"


def test_the_clock_of_a_process_counts_what_it_has_used() -> None:
    before = time.process_time_ns()
    counted = time.clock_gettime_ns(cpu_clock(os.getpid()))
    assert before <= counted <= time.process_time_ns()


def test_a_task_arrives_as_it_was_sent() -> None:
    work = WorkSpec("mine:Source", 8, 0.5)
    task = Task("torch", work, 2, 10, 0.25, expected_of(BATCHES))
    assert Task.loads(task.dumps()) == task
