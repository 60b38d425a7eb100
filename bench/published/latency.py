"""``python -m bench.published.latency``: images from a store with a high latency.

After the benchmarks of concurrent-dataloader, where torch reads ImageNet from S3 plainly, with
asyncio and with threads: four workers, sixteen reads at once in each, batches of 64. Here the store
sleeps (`latency_store.py`), and there is no decoding, no bandwidth and no model. So the ratios here
are what waiting alone allows.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from bench.apart import run_apart
from bench.harness import missing_modules
from bench.published.latency_cell import OF_TORCH, PROCESSES, THREADS, WAYS, Cell
from bench.published.latency_store import BATCH, FETCHERS, MEAN, SIGMA, WORKERS
from bench.rivals import Contestant
from bench.sheet import Run, Sheet, parser, spread

MODULE = "bench.published.latency"
PUBLISHED = {"torch": 57.5, "torch, asyncio": 187.5, "torch, threads": 236.3}  # r_s3.csv
ONE_BY_ONE, AT_ONCE, MANY = 16, 64, 192  # batches: about as many seconds for each way


def cases(share: float, speed: float) -> list[Cell]:
    """Return the cells; each reads this share of its batches."""
    count = {"torch": ONE_BY_ONE, PROCESSES: ONE_BY_ONE, THREADS: MANY}
    return [Cell(way, int(share * count.get(way, AT_ONCE)), speed) for way in WAYS]


def measure(cell: Cell) -> Run:
    """Run one cell."""
    missing = missing_modules(
        Contestant(cell.name, "", ("torch" if cell.name in OF_TORCH else "fastfeed",))
    )
    if missing:
        return {"error": f"not installed: {', '.join(missing)}"}
    return run_apart([sys.executable, "-m", "bench.published.latency_cell", cell.dumps()])


def lines(sheet: Sheet) -> Iterator[str]:
    """Yield the table; ratios are formed in each round."""
    yield (
        "| way | reads at once | images/s | to torch | first batch s | CPU s per 1000 images "
        "| published images/s | published, to torch |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    plain = {run["round"]: run["images_per_second"] for run in sheet.of(name="torch")}
    for way in WAYS:
        runs = sheet.of(name=way)
        ratios = [
            run["images_per_second"] / plain[run["round"]] for run in runs if run["round"] in plain
        ]
        published = PUBLISHED.get(way)
        cells = [
            way,
            f"{WORKERS if way in ('torch', PROCESSES) else WORKERS * FETCHERS}",
            spread([run["images_per_second"] for run in runs], ",.1f"),
            spread(ratios, ".2f"),
            spread([run["first_batch_seconds"] for run in runs], ".2f"),
            spread([_cpu(run) for run in runs], ".2f"),
            f"{published:.1f}" if published else "",
            f"{published / PUBLISHED['torch']:.1f}" if published else "",
        ]
        yield f"| {' | '.join(cells)} |"
    yield ""


def _cpu(run: Run) -> float:
    return 1000 * run["cpu_seconds"] / (run["case"]["batches"] * BATCH)


def main() -> None:
    """Measure and write the table."""
    given = parser(MODULE, __doc__, rounds=3).parse_args()
    share, speed = (0.25, 50.0) if given.quick else (1.0, 1.0)
    settings = {
        "workers": WORKERS, "reads at once in a worker": FETCHERS, "batch": BATCH,
        "mean seconds a read": round(MEAN / speed, 4), "sigma": SIGMA,
    }  # fmt: skip
    sheet = Sheet("latency", given, MODULE, settings)
    sheet.hold(cases(share, speed), measure)
    sheet.publish("A store with a high latency", lines(sheet))


if __name__ == "__main__":
    main()
