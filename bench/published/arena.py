"""``python -m bench.published.arena``: SPDL's comparison of ways from a subprocess, and fastfeed.

SPDL ships payloads from a pipeline in a subprocess to the main process, which drops them; its
documentation gives a table for NumPy arrays of 32 MiB. Here the same is done again, at 2, 8 and
32 MiB, with SPDL itself and with a `fastfeed.Loader` of one worker process; and at 32 MiB once more
with arrays that differ. Every run has processes of its own (`arena_cell.py`); memory is looked at
in runs of which nothing is timed.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator
from dataclasses import replace

from bench.apart import run_apart
from bench.harness import missing_modules
from bench.published.arena_cell import FASTFEED, SPDL, Cell
from bench.rivals import Contestant
from bench.sheet import Run, Sheet, parser, spread

MODULE = "bench.published.arena"
SIZES = (2, 8, 32)  # MiB
ITEMS, PASSES = 16, 10
LOOK_EVERY = 0.02  # seconds; a pass of the quickest takes about as long
PUBLISHED = {  # MB/s, CPU seconds, MB of peak RSS: SPDL's documentation, NumPy arrays of 32 MiB
    "SPDL no-arena": (647, 7.7, 1865),
    "SPDL ring": (3202, 1.1, 1009),
    "SPDL pool": (3767, 0.0, 669),
}


KINDS = 8  # of the arrays that differ


def cases(sizes: tuple[int, ...], items: int, passes: int) -> list[Cell]:
    """Return the timed runs of a round."""
    largest = max(sizes)
    payloads = [(mib, 1) for mib in sizes] + [(largest, KINDS)]
    return [
        Cell(way, mib, items, passes, kinds)
        for mib, kinds in payloads
        for way in (*SPDL, *FASTFEED)
    ]


def measure(cell: Cell) -> Run:
    """Run one cell."""
    needs = ("spdl",) if cell.name in SPDL else ("fastfeed",)
    missing = missing_modules(Contestant(cell.name, "", needs))
    if missing:
        return {"error": f"not installed: {', '.join(missing)}"}
    command = [sys.executable, "-m", "bench.published.arena_cell", cell.dumps()]
    return run_apart(command, limit=120.0, look_every=LOOK_EVERY if cell.memory else None)


def lines(sheet: Sheet) -> Iterator[str]:
    """Yield the tables, one a size."""
    found = {(run["case"]["kinds"], run["case"]["mib"]) for run in sheet.runs}
    for kinds, mib in sorted(found):
        yield f"## NumPy arrays of {mib} MiB, " + (
            "zeros" if kinds == 1 else f"{kinds} that differ"
        )
        yield ""
        yield (
            "| way | received MB/s | to SPDL no-arena | CPU s, receiver | CPU s, all "
            "| peak PSS MB, all | published: MB/s, CPU s, RSS MB |"
        )
        yield "|---|---|---|---|---|---|---|"
        base = _median_speed(sheet.of(name="SPDL no-arena", mib=mib, kinds=kinds, memory=False))
        for way in (*SPDL, *FASTFEED):
            yield _row(sheet, way, mib, kinds, base)
        yield ""


def _row(sheet: Sheet, way: str, mib: int, kinds: int, base: float | None) -> str:
    timed, memory = (
        sheet.of(name=way, mib=mib, kinds=kinds, memory=looked) for looked in (False, True)
    )
    speed = _median_speed(timed)
    times = f"{speed / base:.2f} x" if speed and base else ""
    published = PUBLISHED.get(way) if (mib, kinds) == (32, 1) else None
    cells = [
        way,
        spread([run["mb_per_second"] for run in timed]),
        times,
        spread([run["cpu_receiver"] for run in timed], ".2f"),
        spread([run["cpu_all"] for run in timed], ".2f"),
        spread([run["peak_mb"] for run in memory]),
        ", ".join(str(figure) for figure in published) if published else "",
    ]
    return f"| {' | '.join(cells)} |"


def _median_speed(runs: list[Run]) -> float | None:
    return statistics.median(run["mb_per_second"] for run in runs) if runs else None


def main() -> None:
    """Measure and write the tables."""
    given = parser(MODULE, __doc__, rounds=3).parse_args()
    sizes, items, passes = ((2,), 4, 2) if given.quick else (SIZES, ITEMS, PASSES)
    sheet = Sheet("arena", given, MODULE, {"items": items, "passes": passes})
    timed = cases(sizes, items, passes)
    sheet.hold(timed, measure)
    of_largest = [cell for cell in timed if cell.mib == max(sizes) and cell.kinds == 1]
    sheet.hold([replace(cell, memory=True) for cell in of_largest], measure, rounds=1)
    sheet.publish("SPDL's arena transport", lines(sheet))


if __name__ == "__main__":
    main()
