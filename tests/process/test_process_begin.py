"""A loader that is interrupted while it is being made leaves nothing behind."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from leftovers import eventually, open_descriptors, worker_pids
from process_sources import Batches

from fastfeed import Loader
from fastfeed.engine import Engine
from fastfeed.feed import Feed
from fastfeed.monitor.journal import View
from fastfeed.slots import Slots
from fastfeed.workers import process

STEPS = [
    View.__init__,
    Engine._make_pool,
    Engine._connect_device,
    Engine._make_belt,
    Slots.__init__,
    Engine._make_schedule,
    Feed.__init__,
    Engine._make_autotune,
]
LOADERS: dict[str, Callable[[], Loader]] = {
    "processes": lambda: Loader(Batches(4), workers="auto", max_queue_size=2),
    "threads": lambda: Loader(np.zeros((8, 2)), batch_size=2, workers="auto"),
}


def test_ctrl_c_while_the_source_is_packed_leaves_nothing_open() -> None:
    check_interrupted(process.setting, LOADERS["processes"])


@pytest.mark.parametrize("make", LOADERS.values(), ids=LOADERS)
@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__qualname__)
def test_ctrl_c_at_any_step_leaves_nothing_open(step: Any, make: Callable[[], Loader]) -> None:
    check_interrupted(step, make)


def check_interrupted(step: Any, make: Callable[[], Loader]) -> None:
    """Press Ctrl-C where a function is called, and count what is open afterwards."""
    make().close()  # the fork server stays
    before = open_descriptors()

    def press(frame: Any, event: str, argument: object) -> None:
        if event == "call" and frame.f_code is step.__code__:
            sys.setprofile(None)
            signal.raise_signal(signal.SIGINT)

    sys.setprofile(press)
    try:
        with pytest.raises(KeyboardInterrupt):
            make()
    finally:
        sys.setprofile(None)
    assert open_descriptors() <= before  # earlier tests may still let go of some
    assert eventually(lambda: not worker_pids())
