"""``python -m bench.live_tuning``: ``workers="auto"`` against the answer of ``fastfeed tune``.

For each course of work a loop runs for sixty windows and is tuned meanwhile. The stall of its last
ten is compared with that of a loader with the offline answer for the work of those windows. Workers
mostly sleep, so many of them fit on few cores. A window is two seconds, as the tuner's own.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from bench.harness import LaneError, LaneProcess
from bench.live_lane import Course
from bench.loops import Loops
from bench.shapes import HEAVY_TAIL, SLEEP_BOUND, STEADY, Shape
from bench.sheet import Run, Sheet, parser, spread, verdict
from bench.tune_grid import tuned

MODULE = "bench.live_tuning"
WINDOWS, LATE = 60, 10
WINDOW = 2.0  # seconds
OFFLINE_SECONDS, BUDGET = 20.0, 20.0
NEVER = 1 << 30
MOST_POINTS, MOST_CHANGES = 0.03, 10  # the bars
LIVE, OFFLINE = "live", "offline"
COURSES = {
    "steady": (STEADY, STEADY),
    "heavy tail": (HEAVY_TAIL, HEAVY_TAIL),
    "sleep-bound": (SLEEP_BOUND, SLEEP_BOUND),
    "load goes up": (STEADY, SLEEP_BOUND),
    "load goes down": (SLEEP_BOUND, STEADY),
}


@dataclass(frozen=True)
class Case:
    """A course, tuned while it runs; or the work at its end, with the offline answer."""

    name: str
    part: str
    windows: int = 0


def live(case: Case) -> Run:
    """Let a loop run and be tuned; return its stall in each window, and what was decided."""
    begin, end = COURSES[case.name]
    changes_at = NEVER if begin == end else int(case.windows / 2 * WINDOW / end.step)
    stalls, changes_in = [], 0
    try:
        with LaneProcess(Course(begin, end, changes_at), {}, "bench.live_lane") as lane:
            lane.answer()  # its imports are done
            for _ in range(case.windows):
                lane.order(str(WINDOW))
                found = lane.answer()
                stalls.append(found["stall"])
                changes_in += found["steps"] < changes_at
        return found | {"stalls": stalls, "changed_in_window": changes_in}
    except LaneError as error:
        return {"error": str(error)}


def offline(shape: Shape, budget: float, seconds: float, loops: Loops) -> Run:
    """Ask ``fastfeed tune`` and run a loop with its answer; return both."""
    answer = tuned(shape, budget)
    if "error" in answer:
        return answer
    run = loops.measure(shape, answer["workers"], answer["max_queue_size"], seconds)
    return run | {"workers": answer["workers"], "ahead": answer["max_queue_size"]}


def lines(sheet: Sheet) -> Iterator[str]:
    """Yield the tables."""
    yield "*Stall*: waiting in % of the time; live: of the last ten windows."
    yield ""
    yield (
        "| course | live: workers, ahead | changes | | stall | offline: workers, ahead | stall "
        "| live over offline, points | |"
    )
    yield "|---|---|---|---|---|---|---|---|---|"
    for name in COURSES:
        if sheet.of(name=name, part=LIVE) and sheet.of(name=name, part=OFFLINE):
            yield _row(sheet.of(name=name, part=LIVE), sheet.of(name=name, part=OFFLINE), name)
    yield ""
    for name in COURSES:
        for run in sheet.of(name=name, part=LIVE)[:1]:
            yield from _history(name, run)


def _row(lived: list[Run], asked: list[Run], name: str) -> str:
    late = [statistics.mean(run["stalls"][-LATE:]) for run in lived]
    there = [run["stall"] for run in asked]
    over = statistics.median(late) - statistics.median(there)
    changes = [run["changes"] for run in lived]
    cells = [
        name,
        "; ".join(_numbers(run) for run in lived),
        spread(changes),
        verdict(max(changes) <= MOST_CHANGES),
        spread([100 * stall for stall in late], ".1f"),
        "; ".join(_numbers(run) for run in asked),
        spread([100 * stall for stall in there], ".1f"),
        f"{100 * over:+.1f}",
        verdict(over <= MOST_POINTS),
    ]
    return f"| {' | '.join(cells)} |"


def _numbers(run: dict[str, Any]) -> str:
    return f"{run['workers']}, {run['ahead']}"


def _history(name: str, run: Run) -> Iterator[str]:
    yield f"## {name}: what was decided in the first round"
    yield ""
    yield from (f"* {entry}" for entry in run["history"])
    shown = ", ".join(f"{100 * stall:.0f}" for stall in run["stalls"])
    yield f"* stall of each window, %: {shown}"
    yield ""


def main() -> None:
    """Measure and write the tables."""
    options = parser(MODULE, __doc__, rounds=2)
    options.add_argument("--budget", type=float, default=BUDGET, help="seconds that tune gets")
    given = options.parse_args()
    windows, seconds = (14, 3.0) if given.quick else (WINDOWS, OFFLINE_SECONDS)
    cases = [Case(name, part, windows) for name in COURSES for part in (LIVE, OFFLINE)]
    cases = [replace(case, windows=0) if case.part == OFFLINE else case for case in cases]
    sheet = Sheet("live-tuning", given, MODULE, {"windows": windows, "window seconds": WINDOW})
    with Loops() as loops:

        def measure(case: Case) -> Run:
            if case.part == LIVE:
                return live(case)
            return offline(COURSES[case.name][1], given.budget, seconds, loops)

        sheet.hold(cases, measure)
    sheet.publish("Live tuning against fastfeed tune", lines(sheet))


if __name__ == "__main__":
    main()
