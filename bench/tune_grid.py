"""``python -m bench.tune_grid``: `fastfeed.tune` against all of a grid, on four shapes of work.

For each shape (`shapes.py`) every number of workers is measured with every queue; tune is given the
same source and step, and a budget. Then the best cells of the grid and tune's answer run
again, in turn, since the best of many cells is one that was lucky. The distance is the time a step
with tune's answer over that of the best of them.
"""

from __future__ import annotations

import json
import statistics
import sys
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product

from bench.apart import run_apart
from bench.loops import Loops
from bench.shapes import CPU_BOUND, HEAVY_TAIL, SHAPES, SLEEP_BOUND, STEADY, Shape
from bench.sheet import Run, Sheet, parser, spread, verdict

MODULE = "bench.tune_grid"
QUEUES = (2, 4, 8, 16, 48)
WORKERS = {
    STEADY: (1, 2, 3, 4, 6),
    HEAVY_TAIL: (1, 2, 3, 4, 6),
    CPU_BOUND: (0, 1, 2, 3, 4),
    SLEEP_BOUND: (8, 12, 16, 20, 28),
}
GRID_SECONDS, AGAIN_SECONDS = 0.8, 1.5
CONTENDERS = 3  # cells of the grid that run again
NEAR, POINTS = 0.05, 0.05  # the bars: over the best, and of the stall
GRID, TUNE, AGAIN = "grid", "tune", "again"


@dataclass(frozen=True)
class Case:
    """A cell of the grid, tune itself, or a contender running again."""

    name: str
    part: str
    workers: int = 0
    ahead: int = 0
    seconds: float = 0.0


def compete(sheet: Sheet, shape: Shape, given: Namespace, loops: Loops) -> None:
    """Measure all cells of a shape, tune it, then run the best of them again."""

    def measure(case: Case) -> Run:
        return loops.measure(shape, case.workers, case.ahead, case.seconds)

    sizes = product(WORKERS[shape], QUEUES)
    seconds, again = (0.15, 0.15) if given.quick else (GRID_SECONDS, AGAIN_SECONDS)
    cells = [Case(shape.name, GRID, workers, ahead, seconds) for workers, ahead in sizes]
    sheet.hold(cells[:1] if given.quick else cells, measure, rounds=1)
    sheet.hold([Case(shape.name, TUNE)], lambda case: tuned(shape, given.budget), rounds=1)
    names = contenders(sheet, shape)
    sheet.hold([Case(shape.name, AGAIN, *name, again) for name in names], measure)


def tuned(shape: Shape, budget: float) -> Run:
    """Tune a shape in a process of its own and return the answer."""
    command = [sys.executable, "-m", "bench.tune_cell", json.dumps(asdict(shape)), f"{budget:g}"]
    return run_apart(command, limit=3 * budget + 60)


def contenders(sheet: Sheet, shape: Shape) -> list[tuple[int, int]]:
    """Return workers and queue of tune's answer and of the best cells of the grid."""
    cells = sorted(sheet.of(name=shape.name, part=GRID), key=lambda run: run["seconds_a_step"])
    best = [(run["case"]["workers"], run["case"]["ahead"]) for run in cells[:CONTENDERS]]
    return list(dict.fromkeys([*answers(sheet, shape.name), *best]))


def answers(sheet: Sheet, name: str) -> list[tuple[int, int]]:
    """Return workers and queue of tune's answer, if there is one."""
    return [(run["workers"], run["max_queue_size"]) for run in sheet.of(name=name, part=TUNE)]


def lines(sheet: Sheet) -> Iterator[str]:
    """Yield the tables."""
    yield from _bars(sheet)
    for shape in SHAPES:
        if sheet.of(name=shape.name, part=GRID):
            yield from _grid(sheet, shape.name)


def _bars(sheet: Sheet) -> Iterator[str]:
    yield "*Over the best*: bar 5 %. *Stall*: of tune's answer, bar 5 points between the two."
    yield ""
    yield (
        "| shape | tune's answer | best of the grid | ms a step, tune's | best's "
        "| over the best, % | | stall foretold, % | measured, % | |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for shape in SHAPES:
        for answer in answers(sheet, shape.name):
            yield _row(sheet, shape.name, answer)
    yield ""


def _row(sheet: Sheet, name: str, answer: tuple[int, int]) -> str:
    (tune,) = sheet.of(name=name, part=TUNE)
    again = {
        (run["case"]["workers"], run["case"]["ahead"]): _again(sheet, name, run["case"])
        for run in sheet.of(name=name, part=AGAIN)
    }
    medians = {key: statistics.median(run["ms"] for run in runs) for key, runs in again.items()}
    best = min(medians, key=lambda key: medians[key])
    over = medians[answer] / medians[best] - 1
    stalls = [run["stall"] for run in again[answer]]
    foretold = tune["predicted_stall"]
    off = None if foretold is None else abs(foretold - statistics.median(stalls))
    cells = [
        name,
        _named(answer),
        _named(best),
        spread([run["ms"] for run in again[answer]], ".2f"),
        spread([run["ms"] for run in again[best]], ".2f"),
        f"{100 * over:.1f}",
        verdict(over <= NEAR),
        "" if foretold is None else f"{100 * foretold:.1f}",
        spread([100 * stall for stall in stalls], ".1f"),
        verdict(None if off is None else off <= POINTS),
    ]
    return f"| {' | '.join(cells)} |"


def _again(sheet: Sheet, name: str, case: Run) -> list[Run]:
    runs = sheet.of(name=name, part=AGAIN, workers=case["workers"], ahead=case["ahead"])
    return [run | {"ms": 1e3 * run["seconds_a_step"]} for run in runs]


def _named(cell: tuple[int, int]) -> str:
    return "workers={}, max_queue_size={}".format(*cell)


def _grid(sheet: Sheet, name: str) -> Iterator[str]:
    runs = sheet.of(name=name, part=GRID)
    found = {
        (run["case"]["workers"], run["case"]["ahead"]): 1e3 * run["seconds_a_step"] for run in runs
    }
    queues = sorted({ahead for _, ahead in found})
    yield f"## {name}: ms a step, one run of each cell"
    yield ""
    yield f"| workers | {' | '.join(f'max_queue_size={ahead}' for ahead in queues)} |"
    yield "|---" * (len(queues) + 1) + "|"
    for workers in sorted({workers for workers, _ in found}):
        cells = [found.get((workers, ahead)) for ahead in queues]
        shown = ["" if cell is None else f"{cell:.2f}" for cell in cells]
        yield f"| {workers} | {' | '.join(shown)} |"
    yield ""


def main() -> None:
    """Measure and write the tables."""
    options = parser(MODULE, __doc__, rounds=5)
    options.add_argument("--budget", type=float, default=20.0, help="seconds that tune gets")
    given = options.parse_args()
    sheet = Sheet("tune-grid", given, MODULE, {"budget seconds": given.budget})
    with Loops() as loops:
        for shape in SHAPES:
            if not given.only or any(one in shape.name for one in given.only):
                compete(sheet, shape, given, loops)
    sheet.publish("fastfeed tune against a grid", lines(sheet))


if __name__ == "__main__":
    main()
