"""``python -m bench.records_cost``: what records and counters cost a batch of 2 kB.

Two ways. The commit before the journal is built beside this tree, and both feed the same small
batches in turn, often, with 0, 1 and 2 workers: the difference of their times. And the C functions
alone in a loop (`native/journal_cost.c`), times how often each is called for a batch.
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.harness import ROOT, LaneError, LaneProcess
from bench.records_lane import Task
from bench.sheet import Run, Sheet, parser, spread, verdict

MODULE = "bench.records_cost"
BEFORE = "7144596"  # the last commit without a journal
BATCHES = {0: 10_000, 1: 40_000, 2: 40_000}  # a round, by workers: some 0.2 s
RATE, MOST = 100_000, 0.01  # batches/s, and the share of a core that they may cost there
CLOCKS = {"the consumer": 1, "a worker": 1}  # asked; made: where nobody waits these do for all
ALONE = "C alone"
RESAMPLES = 2000


@dataclass(frozen=True)
class Case:
    """A number of workers and batches a round; or the C functions alone."""

    name: str
    workers: int = 0
    batches: int = 0


def build_before() -> Path:
    """Build the commit before the journal, unless it is there; return a folder to import from.

    Raises
    ------
    SystemExit
        There is no such commit here, or it does not compile.
    """
    tree = ROOT / "build" / f"before-{BEFORE}"
    built = tree / "import"
    if not built.exists():
        print(f"building {BEFORE}", flush=True)
        tree.mkdir(parents=True, exist_ok=True)
        try:
            _extract_and_compile(tree)
        except subprocess.CalledProcessError as error:
            raise SystemExit(f"{BEFORE} cannot be built: {error.stderr.decode()}") from None
        built.mkdir()
        (built / "fastfeed").symlink_to(tree / "fastfeed")  # without its bench/ beside it
    return built


def _extract_and_compile(tree: Path) -> None:
    whole = ["git", "archive", BEFORE]
    archive = subprocess.run(whole, cwd=ROOT, check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x"], cwd=tree, check=True, input=archive, stderr=subprocess.PIPE)
    command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    subprocess.run(command, cwd=tree, check=True, capture_output=True)


class Builds:
    """Both builds, each in a process for each number of workers.

    Parameters
    ----------
    before : path
        From `build_before`.
    pairs : int
        Of rounds, a run.
    """

    def __init__(self, before: Path, pairs: int):
        self._paths = {"before": f"{before}:{ROOT}", "now": str(ROOT)}
        self._pairs, self._order = pairs, random.Random(0)

    def measure(self, case: Case) -> Run:
        """Run pairs of rounds; return the ns a batch of each."""
        if case.name == ALONE:
            return c_alone()
        found: dict[str, dict[str, list[float]]] = {}
        try:
            with ExitStack() as stack:
                lanes = {name: self._lane(name, case, stack) for name in self._paths}
                for _ in range(self._pairs):
                    for name in self._order.sample(list(lanes), len(lanes)):
                        lanes[name].order()
                        for what, figure in lanes[name].answer().items():
                            found.setdefault(name, {}).setdefault(what, []).append(figure)
        except LaneError as error:
            return {"error": str(error)}
        return found

    def _lane(self, name: str, case: Case, stack: ExitStack) -> LaneProcess:
        environment = {"PYTHONPATH": self._paths[name], "PYTHONSAFEPATH": "1"}
        task = Task(case.workers, case.batches)
        lane = stack.enter_context(LaneProcess(task, environment, "bench.records_lane"))
        imported = Path(lane.answer()["fastfeed"]).resolve()
        expected = Path(self._paths[name].partition(":")[0], "fastfeed").resolve()
        if imported != expected:
            raise LaneError(f"{imported} was imported where {expected} is to be measured")
        lane.settle()
        return lane


def c_alone() -> Run:
    """Compile the loop over the C functions and run it."""
    sources = [str(path) for path in sorted((ROOT / "csrc").glob("*.c"))]
    with tempfile.TemporaryDirectory() as folder:
        program = f"{folder}/journal_cost"
        flags = ["-std=c11", "-D_GNU_SOURCE", "-O3", f"-I{ROOT / 'csrc'}"]
        loop = str(ROOT / "bench" / "native" / "journal_cost.c")
        try:
            command = ["cc", *flags, loop, *sources, "-o", program, "-pthread", "-ldl"]
            subprocess.run(command, check=True, capture_output=True, text=True)
            done = subprocess.run([program], check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as error:
            return {"error": str(getattr(error, "stderr", None) or error)}
    return dict(json.loads(done.stdout))


def difference(runs: Sequence[Run], what: str) -> tuple[float, float, float]:
    """Return the median over all pairs of now minus before, in ns, and where it may lie (95 %).

    The interval is that of medians of the pairs drawn again and again with replacement.
    """
    pairs = [
        now - before
        for run in runs
        for before, now in zip(run["before"][what], run["now"][what], strict=True)
    ]
    drawn = np.random.default_rng(0).choice(pairs, (RESAMPLES, len(pairs)))
    low, high = np.percentile(np.median(drawn, axis=1), (2.5, 97.5))
    return statistics.median(pairs), float(low), float(high)


def lines(sheet: Sheet) -> Iterator[str]:
    """Yield the tables."""
    yield "## Before and now, batches of 32x16 float32 by fill"
    yield ""
    yield (
        "| workers | ns a batch before | now | difference (95 %) "
        f"| CPU ns a batch, all processes, before | now | difference (95 %) "
        f"| of a core at {RATE:,} batches/s | pairs |"
    )
    yield "|---|---|---|---|---|---|---|---|---|"
    for workers in sorted({run["case"]["workers"] for run in sheet.runs}):
        runs = [run for run in sheet.of(workers=workers) if run["case"]["name"] != ALONE]
        if runs:
            yield _row(runs, workers)
    yield ""
    yield from _alone(sheet)


def _row(runs: Sequence[Run], workers: int) -> str:
    cells = [str(workers)]
    for what in ("ns", "cpu_ns"):
        for name in ("before", "now"):
            cells.append(spread([ns for run in runs for ns in run[name][what]]))
        more = difference(runs, what)
        cells.append("{:+.0f} ({:+.0f} to {:+.0f})".format(*more))
    cells.append("{:+.2%} ({:+.2%} to {:+.2%})".format(*(RATE * ns / 1e9 for ns in more)))
    cells.append(str(sum(len(run["now"]["ns"]) for run in runs)))
    return f"| {' | '.join(cells)} |"


def _alone(sheet: Sheet) -> Iterator[str]:
    yield "## The C functions alone"
    yield ""
    yield (
        f"| who | ns a batch | share of its core at {RATE:,} batches/s | bar | |\n"
        "|---|---|---|---|---|"
    )
    runs = sheet.of(name=ALONE)
    for who, clocks in CLOCKS.items():
        each = [clocks * run["clock"] for run in runs]
        if who == "the consumer":
            each = [ns + run["write"] + run["step"] for ns, run in zip(each, runs, strict=True)]
        share = statistics.median(each) * RATE / 1e9 if each else None
        shown = "" if share is None else f"{share:.2%}"
        met = None if share is None else share < MOST
        yield f"| {who} | {spread(each, '.1f')} | {shown} | < {MOST:.0%} | {verdict(met)} |"
    yield ""
    for name in ("clock", "write", "step"):
        yield f"* {name}: {spread([run[name] for run in runs], '.1f')} ns"
    yield ""


def main() -> None:
    """Measure and write the tables."""
    given = parser(MODULE, __doc__, rounds=3).parse_args()
    pairs = 2 if given.quick else 30
    sheet = Sheet("records", given, MODULE, {"before": BEFORE, "pairs": pairs})
    cases = [
        Case(f"workers={workers}", workers, batches // 10 if given.quick else batches)
        for workers, batches in BATCHES.items()
    ]
    sheet.hold([*cases, Case(ALONE)], Builds(build_before(), pairs).measure)
    sheet.publish("What records cost", lines(sheet))


if __name__ == "__main__":
    main()
