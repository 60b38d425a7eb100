"""Steps of Keras's fit with and without ``data_wait``, by turns in one process.

The difference is some microseconds: that of two processes is lost in what else differs in them.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import fastfeed
from bench.labelled import Labelled
from bench.lane import UNTIMED
from bench.rivals.keras_fit import Clock, small_model
from bench.sources import make

STEPS = 300


def seconds_a_step(model: Any, data: Any, rows: int, data_wait: bool) -> float:
    """Train for one epoch."""
    clock = Clock(UNTIMED)
    fastfeed.fit_generator(
        model, data, batch_size=rows, shuffle=False, verbose=0, callbacks=[clock],
        data_wait=data_wait,
    )  # fmt: skip
    return clock.seconds / STEPS


def main(rounds: int) -> None:
    """Measure both, in turn; the first round, which compiles, does not count."""
    source = Labelled(make("rows", STEPS + UNTIMED, "item"))
    data, model = source.arrays(), small_model()
    found: dict[bool, list[float]] = {True: [], False: []}
    for number in range(rounds + 1):
        for data_wait in (True, False) if number % 2 else (False, True):
            found[data_wait].append(seconds_a_step(model, data, len(source.labels), data_wait))
    print(json.dumps({"with": found[True][1:], "without": found[False][1:]}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
