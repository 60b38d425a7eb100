"""``python -m bench.published.mlperf``: MLPerf Storage's ResNet-50, accelerators kept fed.

``fastfeed bench --emulate`` does all of it: batches, steps and the least utilization are MLPerf
Storage's (`fastfeed/benchmark/accelerators.py`), the storage is not: records come from memory. Here
are only the loaders that the table is to have, and where it goes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from bench.harness import ROOT

LOADERS = "plain,keras-threads,keras-processes,torch,fastfeed-fill,fastfeed"
ACCELERATOR = "resnet50-h100"
LONGER = 120.0  # seconds over the budget: what was begun goes on to its end


def command(given: argparse.Namespace, file: Path) -> list[str]:
    """Return the command, with the names of its files as seen from the root."""
    size = ["--scale", "0.01", "--repeats", "1"] if given.quick else ["--repeats", "3"]
    names = os.path.relpath(file.with_suffix(".json"), ROOT), os.path.relpath(file, ROOT)
    return [
        sys.executable, "-m", "fastfeed", "bench", "--emulate", ACCELERATOR,
        "--loaders", ",".join(given.only or [LOADERS]), "--seconds", f"{given.seconds:g}", *size,
        "--json", names[0], "--markdown", names[1],
    ]  # fmt: skip


def main() -> int:
    """Run the command, print its tables, and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.published.mlperf")
    parser.add_argument("--seconds", type=float, default=200.0, help="budget")
    parser.add_argument("--only", nargs="+", metavar="LOADER")
    parser.add_argument("--quick", action="store_true", help="a rehearsal with small records")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results", metavar="DIR")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    quick = "-quick" if given.quick else ""
    file = given.out / f"{time.strftime('%Y-%m-%d')}-mlperf{quick}.md"
    before = file.stat().st_mtime_ns if file.exists() else 0
    done = subprocess.run(command(given, file), cwd=ROOT, timeout=given.seconds + LONGER)
    if file.exists() and file.stat().st_mtime_ns != before:
        print(file.read_text())
        print(f"written: {file} and the .json beside it")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
