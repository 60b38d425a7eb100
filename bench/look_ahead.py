"""``python -m bench.look_ahead``: how far ahead an ordered loader must be, measured and foretold.

Workers sleep for lognormal times, so many of them fit on few cores; the loop sleeps for each step.
For each number of workers, each spread of the times and each look-ahead the stall is measured, and
foretold by `predicted_stall` from the same run's times; and the look-ahead that `look_ahead` asks
for is tried.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

from bench.loops import Loops
from bench.shapes import Shape
from bench.sheet import Run, Sheet, parser, spread, verdict
from fastfeed.monitor.sizing import look_ahead

MODULE = "bench.look_ahead"
WORKERS, VARIATIONS = (2, 4, 8), (0.3, 0.6, 1.0)
TIMES = (1.0, 1.5, 2.0, 4.0)  # look-ahead over workers
LOAD = 0.85  # of the workers' time
STEP = 0.004  # seconds
SECONDS = 1.2
POINTS = 0.05  # that a prediction may be off
ASKED = "asked for"


@dataclass(frozen=True)
class Case:
    """Workers, the spread of their times, and how far ahead."""

    name: str
    workers: int
    variation: float
    ahead: int
    seconds: float

    @property
    def shape(self) -> Shape:
        """The work."""
        sleep = LOAD * self.workers * STEP
        return Shape("lognormal", sleep=sleep, variation=self.variation, step=STEP)


def cases(seconds: float) -> list[Case]:
    """Return the sweep; of each pair the last one is what the rule asks for."""
    found = []
    for workers, variation in product(WORKERS, VARIATIONS):
        ahead = sorted({round(times * workers) for times in TIMES})
        found += [Case("swept", workers, variation, one, seconds) for one in ahead]
        case = Case(ASKED, workers, variation, 0, seconds)
        asked = look_ahead(case.shape.sleeps(), STEP, workers)
        found.append(replace(case, ahead=asked))
    return found


def lines(sheet: Sheet) -> Iterator[str]:
    """Yield the tables."""
    yield from _bars(sheet)
    yield "## The sweep"
    yield ""
    yield (
        "Times lognormal, workers busy 85 % of the time where nobody waits; *variation*: standard "
        "deviation over mean. Stall in % of the time."
    )
    yield ""
    yield "| workers | variation | ahead | stall | foretold | off by, points | of it for order |"
    yield "|---|---|---|---|---|---|---|"
    for case in _found(sheet):
        runs = sheet.of(**case)
        ahead = f"**{case['ahead']}** ({ASKED})" if case["name"] == ASKED else str(case["ahead"])
        cells = [
            str(case["workers"]),
            f"{case['variation']:g}",
            ahead,
            spread([100 * run["stall"] for run in runs], ".1f"),
            spread([100 * run["predicted_stall"] for run in runs], ".1f"),
            f"{100 * _off(runs):+.1f}",
            spread([100 * run["order_wait"] for run in runs], ".1f"),
        ]
        yield f"| {' | '.join(cells)} |"
    yield ""


def _found(sheet: Sheet) -> list[Run]:
    """Return the cases that were measured, in order."""
    found = {json.dumps(run["case"]): run["case"] for run in sheet.runs if "error" not in run}
    order = ("workers", "variation", "ahead")
    return sorted(found.values(), key=lambda case: [case[key] for key in order])


def _off(runs: list[Run]) -> float:
    return statistics.median(run["predicted_stall"] - run["stall"] for run in runs)


def _bars(sheet: Sheet) -> Iterator[str]:
    found = _found(sheet)
    off = [abs(_off(sheet.of(**case))) for case in found]
    yield "| claim | bar | measured | |"
    yield "|---|---|---|---|"
    worst = max(off, default=None)
    yield _bar(f"worst of {len(off)} predictions", f"<= {100 * POINTS:g} points", worst, POINTS)
    for most, low, high in ((0.02, 0.0, 0.6), (0.05, 0.6, 1.0)):
        asked = [
            statistics.median(run["stall"] for run in sheet.of(**case))
            for case in found
            if case["name"] == ASKED and low < case["variation"] <= high
        ]
        claim = f"stall with the look-ahead asked for, variation up to {high:g}, worst"
        yield _bar(claim, f"<= {100 * most:g} %", max(asked, default=None), most)
    yield ""


def _bar(claim: str, bound: str, figure: float | None, most: float) -> str:
    shown = "" if figure is None else f"{100 * figure:.1f}"
    return (
        f"| {claim} | {bound} | {shown} | {verdict(None if figure is None else figure <= most)} |"
    )


def main() -> None:
    """Measure and write the tables."""
    given = parser(MODULE, __doc__, rounds=2).parse_args()
    chosen = cases(0.2 if given.quick else SECONDS)
    sheet = Sheet("look-ahead", given, MODULE, {"step seconds": STEP, "load": LOAD})
    with Loops() as loops:

        def measure(case: Case) -> Run:
            return loops.measure(case.shape, case.workers, case.ahead, case.seconds)

        sheet.hold(chosen[:5] if given.quick else chosen, measure)
    sheet.publish("Look-ahead, measured and foretold", lines(sheet))


if __name__ == "__main__":
    main()
