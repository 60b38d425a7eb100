"""Decoding and augmenting JPEG files with OpenCV: work that needs more than one core."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.rivals import (
    DALI,
    FASTFEED_FILL,
    FASTFEED_ITEM,
    KERAS_PROCESSES,
    KERAS_THREADS,
    MP_QUEUE,
    PLAIN_LOOP,
    TF_MAP,
    TF_MAP_OPENCV,
    TORCH,
    Contestant,
)

LINEUP = (
    FASTFEED_FILL, FASTFEED_ITEM, PLAIN_LOOP, MP_QUEUE, TORCH, KERAS_THREADS, KERAS_PROCESSES,
    TF_MAP, TF_MAP_OPENCV, DALI,
)  # fmt: skip


@pytest.mark.parametrize("contestant", LINEUP, ids=lambda contestant: contestant.name)
def test_jpeg(contestant: Contestant, enter: Callable[..., None]) -> None:
    enter("photos", contestant, LINEUP)
