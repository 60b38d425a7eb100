"""``python -m bench.tune_cell SHAPE BUDGET``: `fastfeed.tune` on a shape of work; prints JSON."""

from __future__ import annotations

import json
import sys

from bench.shapes import Shape, Work
from fastfeed.tuning.tune import tune

WANTED = ("workers", "max_queue_size", "predicted_stall", "measured_stall", "seconds")


def main() -> None:
    """Tune the shape of the command line."""
    shape = Shape(**json.loads(sys.argv[1]))
    found = tune(Work(shape), shape.step, budget_seconds=float(sys.argv[2]))
    answer = {name: getattr(found, name) for name in WANTED}
    print(json.dumps(answer | {"ended": found.ended.value, "why": found.error}))


if __name__ == "__main__":
    main()
