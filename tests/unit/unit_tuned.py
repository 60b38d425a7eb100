"""Results of tuning, whose parts belong together, for the pictures and the report of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from unit_records import simulated, times

from fastfeed.tuning.result import Block, Ended, Interval, Point, StepTimes, TuneResult

STEP = 0.030
WORKERS, AHEAD = 5, 15
STALLS = {4: (0.02, 0.05, 0.04), WORKERS: (0.01, 0.012, 0.03), 6: (0.0, 0.01, 0.005)}


def point(workers: int, **changes: Any) -> Point:
    """So many workers on eight cores; a batch takes 100 ms."""
    made = times(300, 0.1 * max(1, workers / 8), 0.5, seed=workers)
    rate = workers / made.mean()
    return replace(
        Point(
            workers, made, Interval(rate, 0.96 * rate, 1.05 * rate), 290, 3.0, 4.8e6,
            min(1.0, workers / 8), workers * 10**8, 0.4 + 0.01 * workers,
        ),
        **changes,
    )  # fmt: skip


def tuned(**changes: Any) -> TuneResult:
    """A step of 30 ms that five workers keep fed; everything was measured."""
    blocks = [
        Block(workers, AHEAD, round_, 100, 100 * STEP / (1 - stalls[round_]), stalls[round_])
        for round_ in range(3)
        for workers, stalls in STALLS.items()
    ]
    return replace(
        TuneResult(
            source="my_data:train",
            workers=WORKERS,
            max_queue_size=AHEAD,
            bound="batch times",
            verdict="5 workers keep the step fed.",
            step=StepTimes(times(60, STEP, 0.05), STEP, 0.033, "step"),
            points=tuple(map(point, (1, 2, 4, 8, 12, 6, 5))),  # in the order measured
            blocks=tuple(blocks),
            predicted_stall=0.0123,
            measured_stall=0.0174,
            step_seconds=STEP,
            needed_workers=5,
            slot_bytes=4_816_896,
            timeline=simulated(times(300, 100, 0.5), 30, WORKERS, AHEAD),
            budget_seconds=60.0,
            seconds=48.25,
            memory_bytes=1 << 31,
            machine={"cores": 8, "CPU": "A <quick> & quiet one", "memory": {"total_bytes": 25}},
            versions={"fastfeed": "0.1.0", "numpy": "2.4.6"},
            started="2026-11-21T14:00:00+00:00",
        ),
        **changes,
    )


NOTHING = TuneResult(
    "my_data:train", 1, 10, "default", "Nothing was measured.", ended=Ended.INTERRUPTED
)
FEW = replace(
    tuned(), points=(point(1, batches_per_second=Interval(9.0, -np.inf, np.inf), cpu_ratio=np.nan),)
)
"""Too little for intervals, on a machine that does not say how busy it is."""
