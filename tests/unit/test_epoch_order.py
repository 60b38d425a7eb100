"""The shares of ranks against a model that deals out a list of the epoch's items."""

from __future__ import annotations

import functools
import itertools
import os
from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastfeed import _core
from fastfeed._core import DATA, Belt, Order, Run
from fastfeed.order import EpochOrder, Shard, Uneven

SEED, EPOCH = 11, 3
UNEVEN = st.sampled_from(["drop", "pad", "short"])
Batch = list[int]
Step = list[Batch]
"""The ranks' batches."""


@dataclass(frozen=True)
class Job:
    """So many ranks, with batches of so many samples; None: items are batches."""

    length: int
    rows: int | None
    world: int
    uneven: Uneven
    shuffle: bool = True

    @property
    def step(self) -> int:
        return (self.rows or 1) * self.world

    def order(self, rank: int) -> EpochOrder:
        return EpochOrder(
            self.length,
            self.rows,
            shuffle=self.shuffle,
            seed=SEED,
            shard=Shard(rank, self.world),
            uneven=self.uneven,
        )

    def items(self) -> list[int]:
        """The epoch's order as a list."""
        return Order(self.length, self.shuffle, SEED, EPOCH).rows(0, self.length).tolist()

    def steps(self, start: int = 0) -> list[Step]:
        """What the ranks' tickets ask for, from a position on."""
        ranks = [self.batches(rank, start) for rank in range(self.world)]
        return [list(step) for step in zip(*ranks, strict=True)]  # equal numbers of steps

    def batches(self, rank: int, start: int) -> list[Batch]:
        order = self.order(rank)
        claims = claimed(order.run(EPOCH, start))
        assert len(claims) == order.steps(start)
        if self.rows is None:
            return [[claim.index] for claim in claims]
        items = Order(self.length, self.shuffle, SEED, EPOCH)
        assert all(claim.batch_rows == claim.rows <= order.most_rows for claim in claims)
        return [items.rows(claim.position, claim.rows).tolist() for claim in claims]


def claimed(run: Run, most: int = 1000) -> list[_core.Claim]:
    """A run's first tickets, as a worker gets them."""
    ring = worker_and_parent()
    belt = Belt(ring, 1, 1)
    belt.begin(EPOCH, 2**40, 0)
    belt.run = run
    claims: list[_core.Claim] = []
    while len(claims) < most:
        belt.post()
        claim = ring.claim(0, 0)
        if claim is None:
            break
        claims.append(claim)
        ring.publish(claim, DATA, 0)
        assert ring.take() is not None
        belt.held -= 1
    return claims


@functools.cache
def worker_and_parent() -> _core.Ring:
    """A ring with nothing in it, for one after the other."""
    fd = _core.create_memory("fastfeed-test", _core.Ring.bytes_for(8, 1))
    ring = _core.Ring.create(_core.Mapping(fd), 8, 1)
    os.close(fd)
    return ring


def model(job: Job, start: int = 0) -> list[Step]:
    """The steps that are full on all ranks, and those that `uneven` makes of the rest."""
    items, left = job.items(), job.items()[start:]
    rows = job.rows or 1
    steps = []
    while left and (len(left) >= job.step or job.uneven != "drop"):
        whole, left = left[: job.step], left[job.step :]
        if job.uneven == "pad":
            whole += itertools.islice(itertools.cycle(items), job.step - len(whole))
        if len(whole) == job.step:
            steps.append([whole[rank * rows :][:rows] for rank in range(job.world)])
        else:
            steps.append(shared_out(whole, items, job.world))
    return steps


def shared_out(left: list[int], items: list[int], world: int) -> Step:
    """One item for each rank; or contiguous parts, as even as possible."""
    if len(left) < world:
        filled = [*left, *itertools.islice(itertools.cycle(items), world - len(left))]
        return [[item] for item in filled]
    ends = [len(left) * (rank + 1) // world for rank in range(world)]
    return [left[first:last] for first, last in zip([0, *ends], ends, strict=False)]


jobs = st.builds(
    Job,
    length=st.integers(1, 70),
    rows=st.none() | st.integers(1, 9),
    world=st.integers(1, 5),
    uneven=UNEVEN,
    shuffle=st.booleans(),
)


@given(jobs, st.integers(0, 69))
def test_ranks_get_what_the_model_deals_out(job: Job, start: int) -> None:
    start = min(start, job.length - 1)
    steps = job.steps(start)
    assert steps == model(job, start)
    for step in steps:
        sizes = [len(batch) for batch in step]
        assert min(sizes) > 0
        assert max(sizes) - min(sizes) <= 1


@given(jobs)
def test_an_epoch_has_each_item_once(job: Job) -> None:
    items = [item for step in job.steps() for batch in step for item in batch]
    seen = Counter(items)
    if job.uneven == "drop":
        assert max(seen.values(), default=1) == 1
        assert job.length - len(seen) < job.step
    else:
        assert seen.keys() == set(range(job.length))
        assert items[: job.length] == job.items() or job.uneven == "short"
    if job.uneven == "short" and job.length % job.step >= job.world:
        assert len(items) == job.length  # nothing was repeated


@given(jobs, st.data())
def test_other_ranks_go_on_where_these_have_stopped(job: Job, data: st.DataObject) -> None:
    taken = data.draw(st.integers(0, job.order(0).steps()))
    after = {job.order(rank).after(0, taken) for rank in range(job.world)}
    assert len(after) == 1  # all ranks say the same
    consumed = after.pop()
    first = [item for step in job.steps()[:taken] for batch in step for item in batch]
    assert set(first) == set(job.items()[:consumed])
    other = data.draw(st.builds(Job, st.just(job.length), st.none() | st.integers(1, 9),
                                st.integers(1, 5), UNEVEN, st.just(job.shuffle)))  # fmt: skip
    if consumed < job.length:
        rest = [item for step in other.steps(consumed) for batch in step for item in batch]
        due = job.items()[consumed:]
        if other.uneven == "drop":
            assert rest == due[: len(rest)]
            assert len(due) - len(rest) < other.step
        else:
            assert set(due) <= set(rest)
            assert Counter(rest[: len(due)]) == Counter(due)


@given(
    st.integers(1, 70),
    st.integers(1, 4),
    st.lists(st.sampled_from([1, 2, 3, 4, 6, 12]), min_size=2, max_size=4),
    st.sampled_from(["drop", "pad"]),
    st.data(),
)
def test_the_same_global_batch_has_the_same_items_on_any_number_of_ranks(
    length: int, part: int, worlds: list[int], uneven: Uneven, data: st.DataObject
) -> None:
    ways = [Job(length, 12 // world * part, world, uneven) for world in worlds]
    start = data.draw(st.integers(0, length - 1))
    glued = [[[*itertools.chain(*step)] for step in job.steps(start)] for job in ways]
    assert all(batches == glued[0] for batches in glued)


@pytest.mark.parametrize("start", [0, 5_000_000, 9_999_999])
def test_an_order_of_ten_million_is_found_at_any_point(start: int) -> None:
    order = EpochOrder(10_000_000, 32, shuffle=True, seed=SEED, shard=Shard(1, 2), uneven="short")
    first = claimed(order.run(EPOCH, start), most=1)[0]
    left = 10_000_000 - start
    assert order.steps(start) == -(-left // 64)
    assert order.after(start, order.steps(start)) == 10_000_000
    assert (first.position, first.rows) == ((start + 32, 32) if left > 1 else (start + 1, 1))
