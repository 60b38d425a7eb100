"""``python -m bench.gpu [--quick] [--out DIR]``: build, test, measure, write it down.

Writes ``bench/results/<date>-gpu-<card>.json`` with every round in it, ``.md`` with the tables and
up to four pictures beside it; after each part, so that a run that is ended keeps what it had. Needs
less than eight minutes. See README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.gpu import about, report
from bench.gpu.runner import Outcome, run, run_part
from bench.gpu.settings import FULL, QUICK, REHEARSAL, Settings
from bench.harness import ROOT

BUDGET = 465.0  # seconds in all
RESULTS = ROOT / "bench" / "results"
BUILD = [sys.executable, "-m", "bench.gpu.build"]
TESTS = [
    sys.executable, "-m", "pytest", "-m", "gpu", "tests/device", "--timeout=40", "-rfEs",
    "--continue-on-collection-errors", "-p", "no:cacheprovider",
]  # fmt: skip
LIMITS = {  # seconds for each part, at the most
    "build": 180.0,
    "tests": 100.0,
    "transfer": 45.0,
    "latency": 75.0,
    "pipeline": 190.0,
    "busy": 90.0,
    "training": 90.0,
    "augment": 45.0,
    "hostload": 45.0,
}
PICTURES = 60.0  # seconds for drawing them


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpu")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--rehearse", action="store_true", help="no GPU: try the script itself")
    parser.add_argument("--out", type=Path, help="folder for the results")
    parser.add_argument("--only", nargs="+", choices=list(LIMITS), help="these parts alone")
    parser.add_argument("--budget", type=float, default=BUDGET, help="seconds in all")
    given = parser.parse_args(arguments)
    if given.rehearse and (
        given.out is None or RESULTS in [given.out.resolve(), *given.out.resolve().parents]
    ):
        parser.error("a rehearsal needs --out with a folder that is not bench/results")
    return given


class Run:
    """One run: its parts, and the file that holds what came out so far.

    Parameters
    ----------
    given : Namespace
        The command line.
    settings : Settings
    command : str
        To be written down.
    """

    def __init__(self, given: argparse.Namespace, settings: Settings, command: str):
        self._begin, self._load = time.monotonic(), os.getloadavg()
        self._settings, self._command, self._budget = settings, command, given.budget
        self._about = about.describe(command, self._load)
        card = (
            about.slug(self._about["card"].get("name", "")) if not given.rehearse else "rehearsal"
        )
        folder: Path = (given.out or RESULTS).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        end = "-quick" if given.quick else ""
        self.file = folder / f"{time.strftime('%Y-%m-%d')}-gpu-{card}{end}.json"
        self._parts: dict[str, Any] = {}

    def left(self, name: str) -> float:
        """Return the seconds that a part may take."""
        return max(0.0, min(LIMITS[name], self._budget - (time.monotonic() - self._begin)))

    def do(self, name: str, folder: Path) -> None:
        """Do a part, and write everything down."""
        limit = self.left(name)
        print(f"{name}, at most {limit:.0f} s ...", end=" ", flush=True)
        if limit < 5:
            outcome = Outcome(0.0, "no time was left", "")
        elif name == "build":
            outcome = run(BUILD, limit)
        elif name == "tests":
            outcome = run(TESTS, limit)
        else:
            outcome = run_part(f"bench.gpu.{name}", self._settings, limit, folder)
        print(f"{outcome.seconds:.1f} s {outcome.error}", flush=True)
        self._parts[name] = asdict(outcome) | {"limit": limit}
        self.save()

    def save(self) -> Path:
        """Write the JSON and the tables."""
        self._about["load_average"]["end"] = [round(load, 2) for load in os.getloadavg()]
        whole = {
            "about": self._about,
            "settings": asdict(self._settings),
            "seconds": time.monotonic() - self._begin,
            "parts": self._parts,
        }
        self.file.write_text(json.dumps(whole, indent=1) + "\n")
        return report.write(self.file)

    @property
    def failed(self) -> bool:
        """Whether a part did not end as it should."""
        return any(part["error"] for part in self._parts.values())


def main(arguments: list[str]) -> int:
    """Do all parts; return 1 if one failed, 2 if there is no GPU."""
    given = parse_arguments(arguments)
    settings = REHEARSAL if given.rehearse else QUICK if given.quick else FULL
    if not given.rehearse and not about.card():
        print("nvidia-smi and CuPy see no GPU here; --rehearse tries the script without one.")
        return 2
    whole = Run(given, settings, shlex.join(["python", "-m", "bench.gpu", *arguments]))
    with tempfile.TemporaryDirectory() as folder:
        for name in given.only or LIMITS:
            if not (given.rehearse and name in ("build", "tests")):
                whole.do(name, Path(folder))
    page = whole.save()
    drawing = run([sys.executable, "-m", "bench.gpu.pictures", str(whole.file)], PICTURES)
    print_shortly(page.read_text())
    print(drawing.output if drawing.error else "", f"written: {page} and what lies beside it")
    return int(whole.failed)


def print_shortly(page: str) -> None:
    """Print what failed, and last what was to be reached: a terminal may keep the end only."""
    sections = {text.partition("\n")[0]: text for text in page.split("\n## ")}
    for title in ("What could not be measured", "Parts", "To reach"):
        if title in sections:
            print(f"## {sections[title]}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
