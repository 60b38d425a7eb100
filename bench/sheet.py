"""A table in the making: every run is written down at once, so a command that was ended goes on
where it stopped when it is given again.

``bench/results/<date>-<name>.json`` holds all runs, the ``.md`` beside it the tables. A rehearsal's
files end in ``-quick`` and are not kept by git.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import machine
from bench.harness import ROOT

Run = dict[str, Any]
LOAD_AT_START = os.getloadavg()


def parser(module: str, about: str | None, rounds: int) -> argparse.ArgumentParser:
    """Return a parser with the options that all tables have."""
    found = argparse.ArgumentParser(
        prog=f"python -m {module}", description=(about or "").partition("\n\n")[0]
    )
    found.add_argument("--rounds", type=int, default=rounds, help="runs of each case, in turn")
    found.add_argument("--only", nargs="+", metavar="TEXT", help="cases with this in their name")
    found.add_argument("--quick", action="store_true", help="a rehearsal: small and short")
    found.add_argument("--fresh", action="store_true", help="forget the runs of this day")
    found.add_argument("--out", type=Path, default=ROOT / "bench" / "results", metavar="DIR")
    return found


class Sheet:
    """The runs of one table.

    Parameters
    ----------
    name : str
        In the names of the files.
    given : argparse.Namespace
        From a `parser`.
    module : str
        The command, as in ``python -m <module>``.
    settings : dict
        Sizes that all runs share; runs with other settings are not mixed with these.

    Raises
    ------
    SystemExit
        The file of this day was made with other settings.
    """

    def __init__(
        self, name: str, given: argparse.Namespace, module: str, settings: dict[str, Any]
    ) -> None:
        self._given = given
        quick = "-quick" if given.quick else ""
        given.out.mkdir(parents=True, exist_ok=True)
        self.file = given.out / f"{time.strftime('%Y-%m-%d')}-{name}{quick}.json"
        self._about = {
            "command": shlex.join(["python", "-m", module, *sys.argv[1:]]),
            "commit": commit(),
            "at": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        }
        self.settings = settings
        self.runs: list[Run] = [] if given.fresh else self._earlier()

    def _earlier(self) -> list[Run]:
        if not self.file.exists():
            return []
        earlier = json.loads(self.file.read_text())
        if earlier["settings"] != json.loads(json.dumps(self.settings)):
            raise SystemExit(f"{self.file} has other settings: --fresh writes it anew")
        self._about["at"] = earlier["at"]
        return list(earlier["runs"])

    def hold(
        self, cases: Sequence[Any], measure: Callable[[Any], Run], rounds: int | None = None
    ) -> None:
        """Measure all cases in each round, in an order that is shuffled anew; skip what is there.

        Parameters
        ----------
        cases : sequence of dataclass instances with a ``name``
        measure : callable
            Gets a case and returns its figures, or ``{"error": why}``.
        rounds : int, optional
            Default: as many as the command line says.

        Raises
        ------
        SystemExit
            Ctrl-C.
        """
        rounds = self._given.rounds if rounds is None else rounds
        wanted = self._given.only
        chosen = [case for case in cases if not wanted or any(one in case.name for one in wanted)]
        for number in range(rounds):
            order = random.Random(number).sample(chosen, len(chosen))
            for done, case in enumerate(order, 1):
                key = {"case": json.loads(json.dumps(asdict(case))), "round": number}
                if any(key.items() <= run.items() and "error" not in run for run in self.runs):
                    continue
                place = f"round {number + 1} of {rounds}, {done} of {len(order)}"
                print(f"{place}: {case.name}", flush=True)
                self._add(key, self._measured(case, measure))

    def _measured(self, case: Any, measure: Callable[[Any], Run]) -> Run:
        try:
            return measure(case)
        except KeyboardInterrupt:
            raise SystemExit(f"Ended. The same command goes on with {self.file}.") from None

    def _add(self, key: Run, figures: Run) -> None:
        if "error" in figures:
            print(f"  {figures['error']}", flush=True)
        others = [run for run in self.runs if not key.items() <= run.items()]
        self.runs = [*others, key | figures]
        self._save()

    def _save(self) -> None:
        whole = self._about | {
            "machine": machine.describe(self._about["command"], LOAD_AT_START),
            "settings": self.settings,
            "runs": self.runs,
        }
        written = self.file.with_suffix(".part")
        written.write_text(json.dumps(whole, indent=1) + "\n")
        written.replace(self.file)  # whoever is ended in between keeps what there was

    def of(self, **case: Any) -> list[Run]:
        """Return the runs of the cases of which these fields are so, without those that failed."""
        return [
            run for run in self.runs if "error" not in run and case.items() <= run["case"].items()
        ]

    def publish(self, title: str, lines: Iterable[str]) -> Path:
        """Write the page of Markdown, print it and return where it is."""
        self._save()
        page = self.file.with_suffix(".md")
        page.write_text("\n".join([*self._heading(title), *lines, *self._failures()]) + "\n")
        print(page.read_text())
        print(f"written: {page} and the .json beside it")
        return page

    def _heading(self, title: str) -> Iterator[str]:
        host = machine.describe("", LOAD_AT_START)
        yield f"# {title}, measured {self._about['at']}"
        yield ""
        yield f"* Command: `{self._about['command']}`, commit {self._about['commit']}"
        yield (
            f"* Machine: {host['cpu']['brand']}, {host['cpu']['usable']} cores usable, "
            f"{host['memory_gib']} GiB, Linux {host['kernel']}"
        )
        load = host["load_average"]
        yield f"* Load average (1, 5, 15 min): {load['start']} at the start, {load['end']} now"
        disturbed = [run[OTHERS] for run in self.runs if OTHERS in run]
        if disturbed:
            yield f"* Cores used by other programs during a run: {spread(disturbed, '.2f')}"
        packages = ", ".join(f"{name} {version}" for name, version in host["packages"].items())
        yield f"* Python {host['python']}, {packages}"
        yield "* Settings: " + ", ".join(f"{key} {value}" for key, value in self.settings.items())
        yield f"* Figures: median (lowest to highest) of up to {self._given.rounds} rounds"
        yield ""

    def _failures(self) -> Iterator[str]:
        failed = {run["case"]["name"]: run["error"] for run in self.runs if "error" in run}
        if failed:
            yield ""
            yield from (f"* {name} took no part: {why}" for name, why in failed.items())


OTHERS = "cores_used_by_others"


def spread(values: Sequence[float], form: str = ",.0f", none: str = "") -> str:
    """Return "median (lowest to highest)"; `none` where there is nothing."""
    if not values:
        return none
    middle, low, high = statistics.median(values), min(values), max(values)
    if len(values) == 1:
        return f"{middle:{form}}"
    return f"{middle:{form}} ({low:{form}} to {high:{form}})"


def verdict(met: bool | None) -> str:
    """Return the last cell of a line with a bar."""
    return {True: "met", False: "**missed**", None: "not measured"}[met]


def commit() -> str:
    """Return the commit's first ten digits, and whether the tree differs from it."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
        return done.stdout.strip()

    found = git("rev-parse", "--short=10", "HEAD") or "unknown"
    return found + (" with uncommitted changes" if git("status", "--porcelain") else "")
