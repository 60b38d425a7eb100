"""The belt posts what there is room for, and opens no batch of which anything is unusual."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from fastfeed import _core
from fastfeed._core import DATA, EXCEPTION, Belt, Run
from fastfeed.errors import CoreError

PAGE = 4096
NOTE = b"two numbers"
SKELETON = object()


class Line:
    """A belt of four tickets and four slots, and a worker at its other end."""

    def __init__(self) -> None:
        fd = _core.create_memory("fastfeed-test", _core.Ring.bytes_for(8, 2))
        self.ring = _core.Ring.create(_core.Mapping(fd), 8, 2)
        self.journal = _core.Journal(fd)
        os.close(fd)
        self.belt = Belt(self.ring, 4, 2)
        self.segment = self.new_segment()
        self.belt.begin(0, 100, 0)
        self.belt.run = Run(0, 0, 100)
        self.belt.expect(NOTE, SKELETON)

    def totals(self) -> tuple[int, int]:
        """Batches and bytes handed out."""
        totals = self.journal.totals()
        return totals["batches"], totals["bytes"]

    def new_segment(self) -> _core.Segment:
        fd = _core.create_memory("fastfeed-test", 4 * PAGE)
        try:
            return _core.Segment(fd, PAGE, 4)
        finally:
            os.close(fd)

    def make(self, note: bytes = NOTE, kind: int = DATA, **result: Any) -> _core.Batch:
        """Let the worker make the next ticket's batch; take it."""
        claim = self.ring.claim(0, 0)
        self.segment.copy_in(claim.offset, np.full(2, claim.index))
        self.segment.copy_in(claim.offset + 64, note)
        result = {"data_bytes": 64, "note_bytes": len(note)} | result
        self.ring.publish(claim, kind, **result)
        return self.ring.take()


@pytest.fixture
def unsized() -> Iterator[Line]:
    """A line whose belt does not know yet how large batches are."""
    line = Line()
    yield line
    line.segment.release_all()
    vars(line).clear()  # pytest keeps the line itself


@pytest.fixture
def line(unsized: Line) -> Line:
    """A line with slots."""
    unsized.belt.use(unsized.segment, 0, 2)
    return unsized


def test_tickets_are_posted_up_to_the_limit(unsized: Line) -> None:
    line = unsized
    assert not line.belt.post()
    assert (line.belt.held, line.belt.posted, line.ring.outstanding) == (2, 2, 2)
    assert line.ring.claim(0, 0).segment == _core.NO_SEGMENT
    line.belt.use(line.segment, 7, 2)
    assert not line.belt.post()
    assert (line.belt.held, line.segment.bound) == (4, 2)
    line.ring.claim(0, 0)
    assert line.ring.claim(0, 0).segment == 7


def test_a_run_that_is_used_up_is_asked_for(line: Line) -> None:
    line.belt.run = Run(5, 1, 2, worker=1, order=_core.Order(30), position=25, stride=10)
    assert line.belt.post()
    assert line.ring.claim(0, 0) is None  # it is not the addressee
    claims = [line.ring.claim(1, 0) for _ in range(2)]
    assert [(claim.epoch, claim.index) for claim in claims] == [(5, 25), (5, 5)]
    line.belt.run = Run(5, 0, 0)
    assert line.belt.post()


def test_tickets_for_a_worker_that_there_is_not_are_refused(line: Line) -> None:
    line.belt.run = Run(0, 0, 1, worker=2)
    with pytest.raises(CoreError, match="worker 2 of 2"):
        line.belt.post()
    assert (line.belt.held, line.segment.in_use) == (0, 0)


def test_nothing_is_posted_without_a_slot_or_an_entry(line: Line) -> None:
    kept = [line.segment.lease(line.segment.acquire()) for _ in range(3)]
    assert not line.belt.post()
    assert (line.belt.held, line.segment.in_use) == (1, 4)
    del kept
    for index in range(7):  # others' tickets fill the ring
        line.ring.post(index, 0, 0, 0, 0)
    assert not line.belt.post()
    assert (line.belt.held, line.segment.in_use, line.segment.bound) == (1, 1, 1)


def test_a_usual_batch_is_opened_and_counted(line: Line) -> None:
    line.belt.post()
    opened = line.belt.open(line.make())
    assert opened is not None
    lease, skeleton = opened
    assert skeleton is SKELETON
    assert np.frombuffer(lease, np.int64)[:2].tolist() == [0, 0]
    belt = line.belt
    assert (belt.held, belt.due) == (3, 99)
    assert line.totals() == (1, 64)
    assert (line.segment.bound, line.segment.in_use) == (3, 4)
    del lease, opened
    assert line.segment.in_use == 3


UNUSUAL: dict[str, Callable[[Line], _core.Batch]] = {
    "exception": lambda line: line.make(kind=EXCEPTION),
    "spilled": lambda line: line.make(spilled=True),
    "another note": lambda line: line.make(b"two Numbers"),
    "a longer note": lambda line: line.make(NOTE + b"!"),
    "no note": lambda line: line.make(b""),
    "a note beyond the slot": lambda line: line.make(data_bytes=PAGE - len(NOTE) + 1),
    "a note far away": lambda line: line.make(data_bytes=2**64 - 1),
}


@pytest.mark.parametrize("make", UNUSUAL.values(), ids=UNUSUAL)
def test_an_unusual_batch_is_left_alone(line: Line, make: Callable[[Line], _core.Batch]) -> None:
    line.belt.post()
    batch = make(line)
    assert line.belt.open(batch) is None
    assert (line.belt.held, line.belt.due) == (4, 100)
    assert line.totals() == (0, 0)
    assert line.segment.bound == 4
    assert line.belt.open(line.make()) is not None  # the next one is usual again


CHANGES: dict[str, Callable[[Line], Any]] = {
    "another epoch": lambda line: line.belt.begin(1, 100, 0),
    "a loop that was left": lambda line: line.belt.begin(0, 100, 1),
    "another segment": lambda line: line.belt.use(line.new_segment(), 1, 2),
    "a closer look": lambda line: line.belt.look_closely(),
    "another meaning": lambda line: line.belt.expect(b"three numbers", None),
    "the end": lambda line: line.belt.close(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_was_usual_may_change(line: Line, change: Callable[[Line], Any]) -> None:
    line.belt.post()
    batch = line.make()
    change(line)
    assert line.belt.open(batch) is None
    assert line.segment.bound == 4


def test_batches_beyond_those_that_may_be_kept_are_left_alone(line: Line) -> None:
    line.belt.post()
    kept = [line.belt.open(line.make()) for _ in range(2)]
    assert None not in kept
    batch = line.make()
    assert line.belt.open(batch) is None
    kept.pop()
    assert line.belt.open(batch) is not None


def test_a_run_of_rows_says_which(line: Line) -> None:
    line.belt.run = Run(
        1, 4, 2, position=40, stride=20, rows=10, last_position=63, last_rows=2
    )  # fmt: skip
    line.belt.post()
    claims = [line.ring.claim(0, 0) for _ in range(2)]
    said = [(c.index, c.position, c.rows, c.first_row, c.batch_rows) for c in claims]
    assert said == [(4, 40, 10, 0, 10), (5, 63, 2, 0, 2)]


def make_in_parts(line: Line, seconds: float) -> int:
    """Let a worker make all parts of the next batch, and open it; return how many there were."""
    line.belt.post()
    parts, left = 0, 1
    while left:
        claim = line.ring.claim(0, 0)
        line.segment.copy_in(claim.offset + 64, NOTE)
        time.sleep(seconds / claim.parts)
        line.ring.publish(claim, DATA, 64, len(NOTE), layout=1)
        parts, left = claim.parts, claim.parts - claim.part - 1
    assert line.belt.open(line.ring.take()) is not None
    return parts


def test_batches_are_divided_as_long_as_they_take_long(line: Line) -> None:
    line.belt.workers, line.belt.most_parts, line.belt.part_ns = 2, 3, 5_000_000
    line.belt.run = Run(0, 0, 100, rows=8)
    assert [make_in_parts(line, seconds) for seconds in (0.02, 0.02, 0.02)] == [3, 3, 3]
    assert 1 in [make_in_parts(line, 0.0) for _ in range(60)]
    assert 3 in [make_in_parts(line, 0.04) for _ in range(8)]


def test_there_are_no_more_parts_than_rows_and_the_limit(line: Line) -> None:
    belt = line.belt
    for workers, most, rows, parts in ((2, 8, 8, 8), (4, 2, 8, 2), (4, 4, 3, 3), (1, 4, 8, 1)):
        belt.workers, belt.most_parts = workers, most
        belt.run = Run(0, 0, 1, rows=rows, last_rows=rows)
        assert make_in_parts(line, 0.0) == parts
        assert (belt.held, line.segment.bound) == (0, 0)


def test_a_run_of_more_tickets_than_can_be_counted_is_refused() -> None:
    with pytest.raises(CoreError, match="tickets from"):
        Run(0, 2**63, 2**63 + 2**62)
