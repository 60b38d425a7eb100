"""Random walks over the ring and its slots, compared with plain dictionaries at each step.

The real ring and segment, driven by one thread: post, claim, publish, die, take, keep, let go. What
several threads and processes do at the same moment is tested in tests/c.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fastfeed import _core
from fastfeed._core import (
    ANY_WORKER,
    CANCELLED,
    CRASHED,
    DATA,
    END,
    EXCEPTION,
    NO_SEGMENT,
    NO_WORKER,
)

ENTRIES, SLOTS, WORKERS, STRIDE, RETRIES = 8, 6, 3, 4096, 1
SOME = st.integers(0, 1000)
RARELY = st.sampled_from([False, False, False, True])
KINDS = st.sampled_from([DATA, DATA, EXCEPTION, END])


@dataclass
class Ticket:
    """What the model knows of a ticket that was not taken yet."""

    sequence: int
    index: int
    epoch: int
    slot: int | None
    addressee: int
    state: str = "open"
    owner: int = NO_WORKER
    attempt: int = 0
    claim: Any = None
    result: tuple[int, int, int, int, bool] = (0, 0, 0, 0, False)

    def contents(self) -> np.ndarray:
        """What its worker writes."""
        return np.full(STRIDE // 8, self.sequence * 1000 + self.attempt, np.uint64)


class RingMachine(RuleBasedStateMachine):
    """`tickets` in the order of posting; `kept` are batches in the user's hands."""

    @initialize()
    def create(self) -> None:
        fd = _core.create_memory("fastfeed-test", _core.Ring.bytes_for(ENTRIES, WORKERS))
        self.ring = _core.Ring.create(_core.Mapping(fd), ENTRIES, WORKERS)
        self.worker_ring = _core.Ring.attach(_core.Mapping(fd))  # as another process sees it
        os.close(fd)
        fd = _core.create_memory("fastfeed-test", SLOTS * STRIDE)
        self.segment = _core.Segment(fd, STRIDE, SLOTS)
        self.memory = _core.Mapping(fd)
        os.close(fd)
        self.posted = self.withdrawn = 0
        self.tickets: dict[int, Ticket] = {}
        self.kept: list[tuple[int, list[Any], np.ndarray]] = []  # slot, its users, contents
        self.stopped: set[int] = set()

    # -- the model ----------------------------------------------------------------------------

    def used_slots(self) -> set[int]:
        bound = {ticket.slot for ticket in self.tickets.values() if ticket.slot is not None}
        return bound | {slot for slot, _, _ in self.kept}

    def in_state(self, state: str) -> list[Ticket]:
        return [ticket for ticket in self.tickets.values() if ticket.state == state]

    # -- the parent ---------------------------------------------------------------------------

    @rule(index=SOME, epoch=st.integers(0, 3), worker=st.integers(-2, WORKERS - 1), bare=RARELY)
    def post(self, index: int, epoch: int, worker: int, bare: bool) -> None:
        addressee = ANY_WORKER if worker < 0 else worker
        slot = None if bare else self.segment.acquire()
        if slot == -1:
            assert len(self.used_slots()) == SLOTS
            return
        assert slot not in self.used_slots()
        place = (NO_SEGMENT, 0, 0) if slot is None else (5, slot * STRIDE, STRIDE)
        sequence = self.ring.post(index, epoch, *place, addressee)
        if self.posted - ENTRIES in self.tickets:
            assert sequence == -1
            if slot is not None:
                self.segment.release(slot)
            return
        assert sequence == self.posted
        self.tickets[sequence] = Ticket(sequence, index, epoch, slot, addressee)
        self.posted += 1

    @rule(ordered=st.booleans(), drop=RARELY, wait=st.booleans())
    def take(self, ordered: bool, drop: bool, wait: bool) -> None:
        candidates = list(self.tickets.values())[: 1 if ordered else None]
        expected = next(filter(self.may_be_taken, candidates), None)
        take = self.ring.take_wait if wait else self.ring.take
        batch = take(ordered, timeout_ns=0) if wait else take(ordered)
        if expected is None:
            assert batch is None
            return
        del self.tickets[expected.sequence]
        assert (batch.sequence, batch.index) == (expected.sequence, expected.index)
        assert (batch.epoch, batch.attempt) == (expected.epoch, expected.attempt)
        assert batch.worker == expected.owner
        result = (batch.kind, batch.data_bytes, batch.note_bytes, batch.spilled)
        assert result == expected.result
        assert batch.segment == (NO_SEGMENT if expected.slot is None else 5)
        if expected.slot is None:
            return
        assert batch.offset == expected.slot * STRIDE
        if batch.kind == DATA and not drop:
            lease = self.segment.lease(expected.slot)
            self.kept.append((expected.slot, [lease], expected.contents()))
        else:
            self.segment.release(expected.slot)

    def may_be_taken(self, ticket: Ticket) -> bool:
        """It is ready, and overtakes none of an earlier epoch that was not withdrawn."""
        passed = range(self.withdrawn, ticket.sequence)
        epochs = [self.tickets[other].epoch for other in passed if other in self.tickets]
        return ticket.state == "ready" and ticket.epoch <= min(epochs, default=ticket.epoch)

    @rule()
    def cancel(self) -> None:
        waiting = self.in_state("open")
        assert self.ring.cancel() == len(waiting)
        self.withdrawn = self.posted
        for ticket in waiting:
            ticket.state, ticket.owner = "ready", NO_WORKER
            ticket.result = (CANCELLED, 0, 0, False)

    # -- workers ------------------------------------------------------------------------------

    @rule(worker=st.integers(0, WORKERS - 1))
    def claim(self, worker: int) -> None:
        if worker in self.stopped:
            try:
                self.worker_ring.claim(worker, 0)
            except StopIteration:
                return
            raise AssertionError("a stopped worker was given a ticket")
        mine = [t for t in self.in_state("open") if t.addressee in (worker, ANY_WORKER)]
        claim = self.worker_ring.claim(worker, 0)
        if not mine:
            assert claim is None
            return
        ticket = mine[0]
        assert (claim.sequence, claim.index) == (ticket.sequence, ticket.index)
        assert (claim.epoch, claim.attempt) == (ticket.epoch, ticket.attempt)
        if ticket.slot is not None:
            place = (claim.segment, claim.offset, claim.capacity)
            assert place == (5, ticket.slot * STRIDE, STRIDE)
            self.memory.copy_in(claim.offset, ticket.contents())
        ticket.state, ticket.owner, ticket.claim = "filling", worker, claim

    @precondition(lambda self: self.in_state("filling"))
    @rule(
        which=SOME, kind=st.sampled_from([DATA, DATA, EXCEPTION, END]), sizes=st.tuples(SOME, SOME)
    )
    def publish(self, which: int, kind: int, sizes: tuple[int, int]) -> None:
        filling = self.in_state("filling")
        ticket = filling[which % len(filling)]
        ticket.result = (kind, sizes[0], sizes[1], ticket.slot is None)
        self.worker_ring.publish(ticket.claim, *ticket.result)
        ticket.state = "ready"

    @rule(worker=st.integers(0, WORKERS - 1), kind=KINDS)
    def work(self, worker: int, kind: int) -> None:
        self.claim(worker)
        if self.in_state("filling"):
            self.publish(-1, kind, (8, 16))

    @rule(worker=st.integers(0, WORKERS - 1))
    def die(self, worker: int) -> None:
        held = [ticket for ticket in self.in_state("filling") if ticket.owner == worker]
        assert self.ring.reclaim(worker, RETRIES) == len(held)
        for ticket in held:
            if ticket.attempt == RETRIES:
                ticket.state, ticket.result = "ready", (CRASHED, 0, 0, False)
            else:
                ticket.state, ticket.owner = "open", NO_WORKER
                ticket.attempt += 1

    @rule(worker=st.integers(0, WORKERS - 1))
    def remove_worker(self, worker: int) -> None:
        self.ring.stop_worker(worker)
        self.stopped.add(worker)

    @rule(worker=st.integers(0, WORKERS - 1))
    def add_worker(self, worker: int) -> None:
        self.die(worker)
        self.ring.reset_worker(worker)
        self.stopped.discard(worker)

    # -- the user -----------------------------------------------------------------------------

    @precondition(lambda self: self.kept)
    @rule(which=SOME, how=st.sampled_from(["view", "tensor", "capsule"]))
    def look(self, which: int, how: str) -> None:
        _, users, _ = self.kept[which % len(self.kept)]
        lease = next((user for user in users if isinstance(user, _core.Lease)), None)
        if lease is None:
            return
        if how == "view":
            users.append(np.frombuffer(lease, np.uint64))
        else:
            tensor = lease.tensor(0, (1, 64), (STRIDE // 8,))
            users.append(np.from_dlpack(tensor) if how == "tensor" else tensor.__dlpack__())

    @precondition(lambda self: self.kept)
    @rule(which=SOME, user=SOME)
    def let_go(self, which: int, user: int) -> None:
        place = which % len(self.kept)
        users = self.kept[place][1]
        del users[user % len(users)]
        if not users:
            del self.kept[place]

    # -- always -------------------------------------------------------------------------------

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        if not hasattr(self, "ring"):
            return
        assert self.ring.outstanding == len(self.tickets)
        assert self.ring.ready == len(self.in_state("ready"))
        assert self.segment.in_use == len(self.used_slots())
        assert len(self.used_slots()) == len(self.kept) + sum(
            ticket.slot is not None for ticket in self.tickets.values()
        )

    @invariant()
    def nobody_writes_to_a_batch_that_is_kept(self) -> None:
        for _, users, contents in getattr(self, "kept", ()):
            for user in users:
                if isinstance(user, np.ndarray):
                    assert (user == contents).all()

    def teardown(self) -> None:
        if not hasattr(self, "ring"):
            return
        for ticket in self.tickets.values():
            if ticket.slot is not None:
                self.segment.release(ticket.slot)
        self.kept.clear()
        assert self.segment.in_use == 0
        del self.segment
        assert _core.segments_alive() == 0


RingMachine.TestCase.settings = settings(max_examples=200, stateful_step_count=80)
TestRing = RingMachine.TestCase
