"""Tables that are written down run by run: what is kept, what is measured again, what is read."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.apart import run_apart
from bench.published.landscape import figures
from bench.records_cost import difference
from bench.sheet import Run, Sheet, parser, spread
from bench.watching import judged, slower


@dataclass(frozen=True)
class Case:
    """A case with one size."""

    name: str
    size: int = 1


CASES = [Case("first"), Case("second", 2)]


@pytest.fixture
def sheet(tmp_path: Path) -> Callable[..., Sheet]:
    """Open the sheet of this test, as a new command does: ``sheet("--rounds", "2", length=3)``."""

    def opened(*arguments: str, **settings: Any) -> Sheet:
        given = parser("some.module", "About it.", 2).parse_args(
            ["--out", f"{tmp_path}", *arguments]
        )
        return Sheet("some", given, "some.module", settings)

    return opened


def measured(figures: dict[str, Any]) -> Callable[[Case], Run]:
    """Return a measurement that gives what `figures` has for a case's name."""
    return lambda case: dict(figures[case.name])


def test_a_second_command_measures_what_is_missing(sheet: Callable[..., Sheet]) -> None:
    sheet("--rounds", "1").hold(CASES, measured({"first": {"ms": 1}, "second": {"error": "why"}}))
    again = sheet("--rounds", "2")
    seen: list[Case] = []

    def measure(case: Case) -> Run:
        seen.append(case)
        return {"ms": 7}

    again.hold(CASES, measure)
    assert sorted(case.name for case in seen) == ["first", "second", "second"]
    assert sorted(run["ms"] for run in again.of(name="first")) == [1, 7]
    assert [run["ms"] for run in again.of(name="second", size=2)] == [7, 7]


def test_what_was_measured_before_ctrl_c_is_kept(sheet: Callable[..., Sheet]) -> None:
    def measure(case: Case) -> Run:
        if case.name == "second":
            raise KeyboardInterrupt
        return {"ms": 1}

    with pytest.raises(SystemExit, match="The same command goes on"):
        sheet().hold([CASES[0]], measure, rounds=1)
        sheet().hold(CASES, measure)
    assert {run["case"]["name"] for run in sheet().runs} == {"first"}


def test_what_failed_is_named_on_the_page(sheet: Callable[..., Sheet]) -> None:
    one = sheet("--rounds", "1")
    one.hold(CASES, measured({"first": {"ms": 1}, "second": {"error": "it rained"}}))
    page = one.publish("A title", ["| a line |"]).read_text()
    assert page.startswith("# A title, measured 20")
    assert "| a line |" in page
    assert page.endswith("* second took no part: it rained\n")
    kept = json.loads(one.file.read_text())
    assert [run["case"]["name"] for run in kept["runs"] if "error" in run] == ["second"]


def test_runs_with_other_settings_are_not_mixed(sheet: Callable[..., Sheet]) -> None:
    sheet(length=3).hold(CASES, measured({"first": {"ms": 1}, "second": {"ms": 2}}))
    assert len(sheet(length=3).runs) == 4
    with pytest.raises(SystemExit, match="--fresh"):
        sheet(length=4)
    assert sheet("--fresh", length=4).runs == []


def test_only_cases_with_a_name_are_run(sheet: Callable[..., Sheet]) -> None:
    one = sheet("--only", "sec")
    one.hold(CASES, measured({"second": {"ms": 2}}), rounds=1)
    assert [run["case"]["name"] for run in one.runs] == ["second"]


def test_a_spread_has_its_ends() -> None:
    assert spread([3, 1, 2], ".0f") == "2 (1 to 3)"
    assert spread([3]) == "3"
    assert spread([]) == ""


def test_differences_are_those_of_pairs() -> None:
    drifting = {"before": {"ns": [100, 200, 400]}, "now": {"ns": [103, 203, 403]}}
    assert difference([drifting], "ns") == (3, 3, 3)
    even = {"alone": [1.0, 2.0, 4.0], "watched": [1.5 * 1.01, 3.0 * 1.01]}
    assert slower([even]) == pytest.approx((0.01, 0.01, 0.01))


def test_noise_meets_no_bar() -> None:
    assert judged(-0.02, 0.005) == "met"
    assert judged(0.02, 0.03) == "**missed**"
    assert judged(-0.2, 0.3) == "not shown: too much noise"


def test_the_cut_off_lies_in_the_first_pass() -> None:
    first = [1.0, *np.arange(1.5, 12.0, 0.5)]  # a batch of 10 each half second, after a second
    found = figures({"first": first, "second": [12.0, 13.0, 14.0], "images": 50}, 10)
    assert found["cutoff"] == pytest.approx(20)
    assert found["first_batch_seconds"] == 1.0
    assert found["whole"] == pytest.approx(50 / (14.0 - first[-1]))


@pytest.mark.parametrize(
    ("script", "limit", "why"),
    [
        ("raise ValueError('of the cell')", 60.0, "of the cell"),
        ("import time; time.sleep(60)", 1.0, "no end"),
    ],
)
def test_a_cell_that_fails_or_hangs_says_so(script: str, limit: float, why: str) -> None:
    found = run_apart([sys.executable, "-c", script], limit=limit)
    assert list(found) == ["error"]
    assert why in found["error"]


def test_a_cells_memory_is_that_of_all_its_processes() -> None:
    child = "held = bytearray(b'x') * 40_000_000; import time; time.sleep(0.5)"
    script = f"import json, subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    command = [sys.executable, "-c", f"{script}; print(json.dumps(dict(a=1)))"]
    found = run_apart(command, look_every=0.02)
    assert found["a"] == 1
    assert 40 < found["peak_mb"] < 120
