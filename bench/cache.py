"""``python -m bench.cache``: the second epoch from a cache, beside arrays of the same bytes.

A dataset gives samples that cost nothing to make, so nothing but the cache is measured: its second
epoch, and those after it. Shuffled arrays with the same rows are the measure. Every run has a
process of its own; ``python -m bench.cache CELL`` is one, and prints JSON.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

import fastfeed
from bench.apart import run_apart
from bench.sheet import Run, Sheet, parser, spread, verdict
from bench.source_rows import Arrays, check

MODULE = "bench.cache"
WORKERS = 2
ARRAYS = "arrays, 1 thread"  # as many as a loader of arrays has by itself
ALL_ARRAYS = (ARRAYS, f"arrays, {WORKERS} threads")
MEMORY, THREADS, DISK = "memory cache", "memory cache, threads", "disk cache"
WAYS = (*ALL_ARRAYS, MEMORY, THREADS, DISK)
LEAST_TO_ARRAYS = 0.8
LIMIT = 300.0  # seconds for a run


@dataclass(frozen=True)
class Cell:
    """What to run; travels as JSON on the command line.

    Parameters
    ----------
    name : str
        One of `WAYS`.
    rows, row_bytes, batch : int
        Samples, bytes of each besides a label of eight, samples a batch.
    epochs : int
        That are timed after the first.
    """

    name: str
    rows: int
    row_bytes: int
    batch: int
    epochs: int = 6

    def dumps(self) -> str:
        """Return the cell as JSON."""
        return json.dumps(asdict(self))


SIZES = (
    {"rows": 100_000, "row_bytes": 3072, "batch": 256},
    {"rows": 4_000, "row_bytes": 224 * 224 * 3, "batch": 64},
)


class Samples:
    """Rows of arrays, one at a time."""

    def __init__(self, arrays: Arrays) -> None:
        self._arrays = arrays

    def __len__(self) -> int:
        return len(self._arrays[0])

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return self._arrays[0][index], int(self._arrays[1][index])


@contextmanager
def opened(arrays: Arrays, cell: Cell) -> Iterator[fastfeed.Loader]:
    """Open a loader of one way."""
    options: dict[str, Any] = {"batch_size": cell.batch, "shuffle": True, "seed": 1}
    if cell.name in ALL_ARRAYS:
        workers = 1 if cell.name == ARRAYS else WORKERS
        with fastfeed.Loader(arrays, workers=workers, **options) as loader:
            yield loader
        return
    options |= {"workers": WORKERS, "use_multiprocessing": cell.name != THREADS}
    with tempfile.TemporaryDirectory() as folder:
        if cell.name == DISK:
            options["cache"] = f"disk:{folder}"
        else:
            options["cache"] = "memory"
            options["cache_budget"] = 2 * (cell.row_bytes + 256) * cell.rows
        with fastfeed.Loader(Samples(arrays), **options) as loader:
            yield loader


def run(cell: Cell) -> dict[str, Any]:
    """Check the first epoch, which fills the cache, and time those after it."""
    x = np.random.default_rng(0).integers(0, 256, (cell.rows, cell.row_bytes), np.uint8)
    seconds = []
    with opened((x, np.arange(cell.rows)), cell) as loader:
        check(loader, (x, np.arange(cell.rows)))
        filled(loader, cell)
        for _ in range(cell.epochs):
            begin = time.perf_counter()
            for batch in loader:
                del batch
            seconds.append(time.perf_counter() - begin)
        check(loader, (x, np.arange(cell.rows)))
    later = statistics.median(seconds[1:]) if len(seconds) > 1 else seconds[0]
    return {"second": cell.rows / seconds[0], "later": cell.rows / later}


def filled(loader: fastfeed.Loader, cell: Cell) -> None:
    """Wait until a disk has everything: it may be slower than these samples are made.

    Raises
    ------
    RuntimeError
        It does not.
    """
    deadline = time.monotonic() + LIMIT / 2
    while (use := loader.stats().cache) is not None and use.samples < cell.rows:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{use.samples} of {cell.rows} samples are in the cache: {use}")
        time.sleep(0.05)


def cases(given: Namespace) -> list[Cell]:
    """Return the runs of a round."""
    sizes = [
        {**size, "rows": size["batch"] * 4, "epochs": 2} if given.quick else size for size in SIZES
    ]
    return [Cell(way, **size) for size in sizes for way in WAYS]


def measure(cell: Cell) -> Run:
    """Run one cell in a process of its own."""
    return run_apart([sys.executable, "-m", MODULE, cell.dumps()], limit=LIMIT)


# -- the tables ---------------------------------------------------------------------------------


def speeds(sheet: Sheet, way: str, row_bytes: int, epoch: str) -> list[float]:
    """Return samples a second of each round."""
    return [run[epoch] for run in sheet.of(name=way, row_bytes=row_bytes) if epoch in run]


def to_arrays(sheet: Sheet, way: str, row_bytes: int, epoch: str) -> float | None:
    """Return the speed of a way over that of arrays, the quicker of the two."""
    ours, *theirs = (speeds(sheet, name, row_bytes, epoch) for name in (way, *ALL_ARRAYS))
    best = max((statistics.median(each) for each in theirs if each), default=None)
    return statistics.median(ours) / best if ours and best else None


def lines(sheet: Sheet) -> Iterator[str]:
    """Yield the tables."""
    yield from ("## To reach", "", "| what | bar | measured | |", "|---|---|---|---|")
    for size in SIZES:
        found = to_arrays(sheet, MEMORY, size["row_bytes"], "second")
        met = None if found is None else found >= LEAST_TO_ARRAYS
        claim = f"second epoch from the memory cache to arrays, samples of {size['row_bytes']:,} B"
        shown = "" if found is None else f"{found:.2f} x"
        yield f"| {claim} | >= {LEAST_TO_ARRAYS} x | {shown} | {verdict(met)} |"
    for size in SIZES:
        yield from table(sheet, size["row_bytes"])


def table(sheet: Sheet, row_bytes: int) -> Iterator[str]:
    """Yield the samples a second for one size of samples."""
    found = [run["case"] for run in sheet.of(row_bytes=row_bytes)]
    if not found:
        return
    about = "{rows:,} samples of {row_bytes:,} bytes, shuffled, {batch} a batch".format(**found[0])
    heads = ("way", "second epoch", "to arrays", "later epochs", "to arrays")
    yield from ("", f"## {about}: samples/s", "")
    yield from (f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}")
    for way in WAYS:
        cells = [way]
        for epoch in ("second", "later"):
            times = to_arrays(sheet, way, row_bytes, epoch)
            each = speeds(sheet, way, row_bytes, epoch)
            cells += [spread(each), f"{times:.2f} x" if times else ""]
        yield f"| {' | '.join(cells)} |"


def main() -> None:
    """Measure and write the tables."""
    given = parser(MODULE, __doc__, rounds=5).parse_args()
    sheet = Sheet("cache", given, MODULE, {"workers": WORKERS, "epochs": Cell.epochs})
    sheet.hold(cases(given), measure)
    sheet.publish("Caches", lines(sheet))


if __name__ == "__main__":
    if len(sys.argv) == 2 and sys.argv[1].startswith("{"):
        print(json.dumps(run(Cell(**json.loads(sys.argv[1])))))
    else:
        main()
