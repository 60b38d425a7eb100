"""``python -m bench.source_table``: arrays, resuming and memory, for sources of many samples.

Shuffled rows of arrays beside a torch DataLoader and beside ``np.take``; the time from a state to
the first batch at several points of an epoch; the memory of all processes over epochs that read a
list of a million paths. Every run has a process of its own (`source_rows`, `source_resume`,
`source_memory`).
"""

from __future__ import annotations

import statistics
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from typing import Any

from bench import source_memory, source_resume, source_rows
from bench.apart import run_apart
from bench.harness import missing_modules
from bench.rivals import Contestant
from bench.sheet import Run, Sheet, parser, spread, verdict

MODULE = "bench.source_table"
CELLS = (source_rows, source_resume, source_memory)
MODULES = {module.Cell: module.__name__ for module in CELLS}
POINTS = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the epoch
LEAST_TO_TORCH, LEAST_TO_TAKE, MOST_SECONDS = 3.0, 0.7, 0.1
MOST_GROWTH, MOST_TO_ONE = 1.02, 1.1  # last epoch over the second; a list's cost, 4 workers over 1
WORKERS = (1, 4)
SPEED, RUNNING = "rows_per_second", "running"  # keys of what the cells answer
LIMIT = 580.0  # seconds for a run


def cases(given: Namespace) -> list[Any]:
    """Return the runs of a round: rows and resuming."""
    small: dict[str, Any] = {"rows": 4_000, "seconds": 0.1} if given.quick else {}
    items: dict[str, Any] = {"items": 100_000} if given.quick else {}
    return [
        *(source_rows.Cell(way, **small) for way in source_rows.WAYS),
        *(
            source_resume.Cell(source, at, **items)
            for source in source_resume.SOURCES
            for at in POINTS
        ),
    ]


def memory_cases(given: Namespace) -> list[source_memory.Cell]:
    """Return the runs that take minutes."""
    size: dict[str, Any] = {"epochs": 3, "paths": 20_000} if given.quick else {}
    few: dict[str, Any] = size if given.quick else {"epochs": 5}
    return [
        *(
            source_memory.Cell(source_memory.FASTFEED, workers, kept=kept, **size)
            for workers in WORKERS
            for kept in (True, False)
        ),
        *(source_memory.Cell(source_memory.TORCH, workers, **few) for workers in WORKERS),
    ]


def measure(cell: Any) -> Run:
    """Run one cell."""
    needs = ("torch",) if cell.name.startswith("torch") else ("fastfeed",)
    missing = missing_modules(Contestant(cell.name, "", needs))
    if missing:
        return {"error": f"not installed: {', '.join(missing)}"}
    return run_apart([sys.executable, "-m", MODULES[type(cell)], cell.dumps()], limit=LIMIT)


def lines(sheet: Sheet) -> Iterator[str]:
    """Yield the tables."""
    yield "## To reach"
    yield ""
    yield "| what | bar | measured | |"
    yield "|---|---|---|---|"
    yield from _rows_bars(sheet)
    yield from _resume_bars(sheet)
    yield from _memory_bars(sheet)
    yield ""
    yield from _rows(sheet)
    yield from _resume(sheet)
    yield from _memory(sheet)


def _bar(claim: str, figure: float | None, bound: float, unit: str, at_least: bool = False) -> str:
    shown = "" if figure is None else f"{figure:.3g}{unit}"
    met = None if figure is None else figure >= bound if at_least else figure <= bound
    sign = ">=" if at_least else "<="
    return f"| {claim} | {sign} {bound:g}{unit} | {shown} | {verdict(met)} |"


# -- rows ---------------------------------------------------------------------------------------


def _speeds(sheet: Sheet, way: str) -> list[float]:
    return [run[SPEED] for run in sheet.of(name=way) if SPEED in run]


def _to_best_of(sheet: Sheet, ways: Sequence[str]) -> float | None:
    """Return fastfeed's speed over that of the quickest of these."""
    ours, *theirs = (_speeds(sheet, way) for way in (source_rows.FASTFEED, *ways))
    best = max((statistics.median(speeds) for speeds in theirs if speeds), default=None)
    return statistics.median(ours) / best if ours and best else None


def _rows_bars(sheet: Sheet) -> Iterator[str]:
    claim = "shuffled rows, fastfeed to the best torch DataLoader over a TensorDataset"
    torch = (*source_rows.TORCH, *source_rows.TORCH_INDEXED)
    yield _bar(claim, _to_best_of(sheet, torch), LEAST_TO_TORCH, " x", True)
    claim = "the same, to np.take(out=) into one buffer"
    yield _bar(claim, _to_best_of(sheet, [source_rows.TAKE]), LEAST_TO_TAKE, " x", True)


def _rows(sheet: Sheet) -> Iterator[str]:
    found = [run["case"] for run in sheet.runs if "row_bytes" in run["case"]]
    if not found:
        return
    yield "## Rows of {rows:,} x {row_bytes:,} bytes, shuffled, {batch} a batch".format(**found[0])
    yield ""
    yield "| way | rows/s | fastfeed is |"
    yield "|---|---|---|"
    for way in source_rows.WAYS:
        times = _to_best_of(sheet, [way])
        yield f"| {way} | {spread(_speeds(sheet, way))} | {f'{times:.2f} x' if times else ''} |"
    yield ""


# -- resuming -----------------------------------------------------------------------------------


def _resume_bars(sheet: Sheet) -> Iterator[str]:
    for source in source_resume.SOURCES:
        each = [
            statistics.median(run[RUNNING] for run in runs)
            for at in POINTS
            if (runs := sheet.of(name=source, at=at))
        ]
        claim = f"from a state to its first batch, {source}, worst point of an epoch"
        yield _bar(claim, max(each, default=None), MOST_SECONDS, " s")


def _resume(sheet: Sheet) -> Iterator[str]:
    found = [run["case"] for run in sheet.runs if "at" in run["case"]]
    if not found:
        return
    yield f"## From a state to its first batch, {found[0]['items']:,} samples, ms"
    yield ""
    yield "| source | point of the epoch | workers running | workers just starting |"
    yield "|---|---|---|---|"
    for source in source_resume.SOURCES:
        for at in POINTS:
            runs = sheet.of(name=source, at=at)
            running, fresh = (
                spread([1e3 * run[which] for run in runs], ".2f") for which in (RUNNING, "fresh")
            )
            yield f"| {source} | {at:.0%} | {running} | {fresh} |"
    yield ""


# -- memory -------------------------------------------------------------------------------------


def _memory_bars(sheet: Sheet) -> Iterator[str]:
    for workers in WORKERS:
        runs = sheet.of(name=source_memory.FASTFEED, workers=workers, kept=True)
        growth = [run["megabytes"][-1] / run["megabytes"][1] for run in runs]
        claim = f"memory of all processes, last epoch to the second, workers={workers}"
        median = statistics.median(growth) if growth else None
        yield _bar(claim, median, MOST_GROWTH, " x")
    one, four = (_cost_of_the_list(sheet, workers) for workers in WORKERS)
    times = four / one if one and four else None
    yield _bar("what the list costs, with 4 workers to 1", times, MOST_TO_ONE, " x")


def _cost_of_the_list(sheet: Sheet, workers: int) -> float | None:
    """Return the MB at the end that are there because the paths are kept."""
    kept, made = (
        [
            run["megabytes"][-1]
            for run in sheet.of(workers=workers, kept=kept, name=source_memory.FASTFEED)
        ]
        for kept in (True, False)
    )
    return statistics.median(kept) - statistics.median(made) if kept and made else None


def _memory(sheet: Sheet) -> Iterator[str]:
    found = {
        (case["name"], case["workers"], case["kept"]): case
        for case in (run["case"] for run in sheet.runs)
        if "paths" in case
    }
    if not found:
        return
    yield f"## PSS of all processes, {next(iter(found.values()))['paths']:,} paths, MB"
    yield ""
    yield "| loader | workers | paths | epoch 1 | epoch 2 | last epoch | epochs |"
    yield "|---|---|---|---|---|---|---|"
    for _, case in sorted(found.items()):
        runs = [run["megabytes"] for run in sheet.of(**case)]
        cells = [spread([each[epoch] for each in runs]) for epoch in (0, 1, -1)]
        kept = "in a list" if case["kept"] else "made when asked for"
        cells = [case["name"], str(case["workers"]), kept, *cells, str(case["epochs"])]
        yield f"| {' | '.join(cells)} |"
    yield ""


def main() -> None:
    """Measure and write the tables."""
    given = parser(MODULE, __doc__, rounds=5).parse_args()
    settings = {"rows a batch": source_rows.Cell.batch, "the same, resumed": source_resume.BATCH}
    sheet = Sheet("sources", given, MODULE, settings)
    sheet.hold(cases(given), measure)
    sheet.hold(memory_cases(given), measure, rounds=1)
    sheet.publish("Sources of many samples", lines(sheet))


if __name__ == "__main__":
    main()
