"""Whole batches from worker processes to the consumer, at three sizes; and load beside step."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.rivals import (
    DALI,
    FASTFEED_FILL,
    FASTFEED_ITEM,
    FASTFEED_STREAM,
    KERAS_PROCESSES,
    KERAS_THREADS,
    LIMIT_NUMPY,
    LIMIT_STREAM,
    MP_QUEUE,
    PLAIN_LOOP,
    TF_GENERATOR,
    TORCH,
    Contestant,
)

LOADERS = (
    FASTFEED_FILL, FASTFEED_ITEM, MP_QUEUE, TORCH, KERAS_THREADS, KERAS_PROCESSES, TF_GENERATOR,
    DALI,
)  # fmt: skip
LINEUPS = {
    "rows": (*LOADERS, PLAIN_LOOP),
    "uint8": (*LOADERS, FASTFEED_STREAM, PLAIN_LOOP, LIMIT_NUMPY, LIMIT_STREAM),
    "float32": (*LOADERS, FASTFEED_STREAM, PLAIN_LOOP, LIMIT_NUMPY, LIMIT_STREAM),
    "asleep": LOADERS,
}
ENTRIES = [(work, contestant) for work, lineup in LINEUPS.items() for contestant in lineup]


@pytest.mark.parametrize(
    ("work", "contestant"), ENTRIES, ids=[f"{work}-{one.name}" for work, one in ENTRIES]
)
def test_pipeline(work: str, contestant: Contestant, enter: Callable[..., None]) -> None:
    enter(work, contestant, LINEUPS[work])
