"""``python -m bench.published.mlperf``: MLPerf Storage's ResNet-50, accelerators kept fed.

``fastfeed bench --emulate`` does all of it: batches, steps and the least utilization are MLPerf
Storage's (`fastfeed/benchmark/accelerators.py`), the storage is not: records come from memory. Here
one loader after the other is given to it, so that a table that was ended can go on.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.harness import ROOT
from bench.sheet import Run, Sheet, parser, spread

MODULE = "bench.published.mlperf"
LOADERS = ("plain", "keras-threads", "keras-processes", "torch", "fastfeed", "fastfeed-fill")
ACCELERATOR = "resnet50-h100"
LONGER = 120.0  # seconds over the budget: what was begun goes on to its end


@dataclass(frozen=True)
class Case:
    """A loader, as ``fastfeed bench`` names it, and what it gets."""

    name: str
    accelerator: str
    seconds: float
    repeats: int
    scale: float


def measure(case: Case) -> Run:
    """Give one loader to the command."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "bench.json")
        command = [
            sys.executable, "-m", "fastfeed", "bench", "--emulate", case.accelerator,
            "--loaders", case.name, "--seconds", f"{case.seconds:g}",
            "--repeats", str(case.repeats), "--scale", f"{case.scale:g}", "--json", str(file),
        ]  # fmt: skip
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=case.seconds + LONGER
        )
        if not file.exists():
            return {"error": (done.stderr.strip().splitlines() or ["no answer"])[-1]}
        (emulation,) = json.loads(file.read_text())["emulations"]
    rows = {row.pop("loader"): row for row in emulation.pop("rows")}
    row = rows[case.name]
    return emulation | row if row["tried"] else {"error": f"{row['status']}: {row['reason']}"}


def lines(sheet: Sheet) -> Iterator[str]:
    """Yield the table."""
    runs = [run for name in LOADERS for run in sheet.of(name=name)]
    if not runs:
        return
    about = runs[0]
    yield (
        f"{about['accelerator']}: {about['batch_size']} records of {about['record_bytes']:,} bytes "
        f"a step (MLPerf Storage: {about['full_record_bytes']:,}), computing for "
        f"{1e3 * about['step_seconds']:g} ms. Kept fed: AU >= {100 * about['least_au']:g} %, AU "
        "being computing over all time, the mean of the accelerators."
    )
    yield ""
    counts = sorted({tried["accelerators"] for run in runs for tried in run["tried"]})
    yield f"| loader | kept fed | {' | '.join(f'AU with {count}, %' for count in counts)} | |"
    yield "|---" * (len(counts) + 3) + "|"
    for run in runs:
        found = {tried["accelerators"]: tried["utilization"] for tried in run["tried"]}
        cells = [_utilization(found.get(count, [])) for count in counts]
        fed = f"at least {run['fed']}" if run["reason"] else str(run["fed"])
        yield f"| {run['case']['name']} | {fed} | {' | '.join(cells)} | {run['reason']} |"
    yield ""


def _utilization(rounds: list[float]) -> str:
    return f"{spread([100 * au for au in rounds], '.0f')}, n {len(rounds)}" if rounds else ""


def main() -> None:
    """Measure and write the table."""
    options = parser(MODULE, __doc__, rounds=1)
    options.add_argument("--seconds", type=float, default=60.0, help="budget of each loader")
    given = options.parse_args()
    repeats, scale = (1, 0.01) if given.quick else (3, 1.0)
    sheet = Sheet("mlperf", given, MODULE, {"repeats": repeats, "scale": scale})
    each = (ACCELERATOR, given.seconds, repeats, scale)
    sheet.hold([Case(name, *each) for name in LOADERS], measure)
    sheet.publish("MLPerf Storage's ResNet-50", lines(sheet))


if __name__ == "__main__":
    main()
