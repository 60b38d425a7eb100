"""The ring alone: tickets with nothing in their slots."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from bench.rivals import MP_QUEUE, RING, Contestant

PROCESSES = (RING, MP_QUEUE)


@pytest.mark.parametrize("contestant", PROCESSES, ids=lambda contestant: contestant.name)
def test_through_two_processes(contestant: Contestant, enter: Callable[..., None]) -> None:
    enter("nothing", contestant, PROCESSES)


def test_one_ticket_in_one_thread(benchmark: Any) -> None:
    """What the calls themselves cost: post, claim, publish, take; nobody sleeps or is woken."""
    core = pytest.importorskip("fastfeed._core")
    memory = os.memfd_create("ring")
    os.ftruncate(memory, core.Ring.bytes_for(64, 1))
    ring = core.Ring.create(core.Mapping(memory), 64, 1)
    os.close(memory)
    taken = []

    def pass_one() -> None:
        ring.post(7, 0, 0, 0, 0)
        ring.publish(ring.claim(0), core.DATA)
        taken.append(ring.take().index)

    benchmark.group = "ring calls"
    benchmark.extra_info["contestant"] = "post, claim, publish, take"
    benchmark.pedantic(pass_one, rounds=200, iterations=200, warmup_rounds=5)
    assert set(taken) == {7}
    assert ring.outstanding == 0
