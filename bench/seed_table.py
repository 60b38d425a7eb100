"""``python -m bench.seed_table``: a known comparison of ways to feed Keras, run again.

1000 JPEG pictures, MobileNetV2 from random weights, five epochs: from memory, from a `Sequence`
without workers, with threads, with processes, and by fastfeed, on each backend of Keras; and the
same without a model. Every cell runs in a process of its own, whose memory (PSS, with all of its
children) is looked at once a second. The tables go to ``bench/results/<date>-seed-table.md``, all
numbers to the ``.json`` beside it. ``--help`` lists the sizes; a run with other sizes than the
defaults is a rehearsal, and its files end in ``-quick``.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shlex
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench import machine, photos, seed_cell, seed_page
from bench.apart import run_apart
from bench.harness import ROOT
from bench.seed_cell import Cell
from bench.sources import BACKENDS

LOOK_EVERY = 1.0  # seconds between two looks at the memory, which cost CPU themselves
LONGEST = 900.0  # seconds for a cell: some ways have been seen to hang

NO_MODEL = ""
OF_LOADERS = (
    seed_cell.ALONE, seed_cell.THREADS, seed_cell.PROCESSES, seed_cell.OUR_THREADS,
    seed_cell.OUR_PROCESSES,
)  # fmt: skip
WAYS = {NO_MODEL: OF_LOADERS, **dict.fromkeys(BACKENDS, (seed_cell.IN_MEMORY, *OF_LOADERS))}


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.seed_table")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--side", type=int, default=64, help="pixels of the model's input")
    parser.add_argument("--alpha", type=float, default=0.35, help="width of MobileNetV2")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=1, help="runs of each cell, in turn")
    parser.add_argument("--backends", nargs="*", default=list(BACKENDS), choices=BACKENDS)
    return parser.parse_args(arguments)


def run_cell(cell: Cell) -> dict[str, Any]:
    """Run a cell; return what it measured and its peak memory, or what went wrong."""
    environment = {"KERAS_BACKEND": cell.backend} if cell.backend else {}
    command = [sys.executable, "-m", "bench.seed_cell", cell.dumps()]
    return run_apart(command, environment, LONGEST, LOOK_EVERY)


def measure(given: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Run all cells, in an order that is shuffled anew each round; return all runs."""
    sizes = {name: getattr(given, name) for name in ("side", "alpha", "batch", "epochs", "workers")}
    cells = [
        Cell(way=way, backend=backend, folder=str(folder), **sizes)
        for backend in (NO_MODEL, *given.backends)
        for way in WAYS[backend]
    ]
    runs, order = [], random.Random(0)
    for number in range(given.rounds):
        order.shuffle(cells)
        for done, cell in enumerate(cells, 1):
            result = run_cell(cell)
            name = cell.way.format(workers=cell.workers)
            print(
                f"round {number + 1}, cell {done} of {len(cells)}: "
                f"{cell.backend or 'no model'}, {name}: "
                + (result.get("error") or f"{result['seconds']:.1f} s"),
                flush=True,
            )
            runs.append({"backend": cell.backend, "way": name, **result})
    return runs


def main(arguments: list[str]) -> None:
    """Measure and write the tables."""
    given = parse_arguments(arguments)
    load = os.getloadavg()
    with tempfile.TemporaryDirectory() as folder:
        photos.write(Path(folder), given.images)
        runs = measure(given, Path(folder))
    command = shlex.join(["python", "-m", "bench.seed_table", *arguments])
    about = {
        "sizes": vars(given),
        "openmp_threads": os.environ.get("OMP_NUM_THREADS"),
        "machine": machine.describe(command, load),
        "at": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    }
    rehearsal = "" if given == parse_arguments([f"--rounds={given.rounds}"]) else "-quick"
    file = ROOT / "bench" / "results" / f"{time.strftime('%Y-%m-%d')}-seed-table{rehearsal}.json"
    file.write_text(json.dumps({**about, "runs": runs}, indent=1) + "\n")
    page = seed_page.write(file)
    print(page.read_text())
    print(f"written: {page.relative_to(ROOT)} and the .json beside it")


if __name__ == "__main__":
    main(sys.argv[1:])
