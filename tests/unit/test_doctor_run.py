"""``fastfeed doctor`` on this machine: what it prints, as text and as JSON, and how it ends."""

from __future__ import annotations

import json
import os
import platform
import re
from importlib import metadata
from typing import Any

import numpy as np
import pytest
from doctor_runs import NOT_ALLOWED, QUICK, REFUSING, WITHOUT_RICH, fastfeed
from test_layers import HEAVY

from fastfeed import _core
from fastfeed.doctor import Status, copies, examine, kernel, workers

TOPICS = [
    "versions", "kernel", "cores", "memory", "NUMA", "huge pages", "/dev/shm", "open files",
    "workers", "copies", "GPU", "page-locking",
]  # fmt: skip
MODULES = """
import json, sys
from fastfeed.doctor import examine
findings = list(examine())
print(json.dumps(sorted(sys.modules)))
"""


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """What --json says here."""
    run = fastfeed("doctor", "--json")
    assert (run.returncode, run.stderr) == (0, "")
    return json.loads(run.stdout)


def test_every_topic_is_there_once_and_this_machine_is_usable(found: dict[str, Any]) -> None:
    names = [finding["name"] for finding in found["findings"]]
    assert [name for name in TOPICS if name in names] == TOPICS
    assert len(names) == len(set(names))
    assert found["usable"] is True
    assert found["fastfeed"] == metadata.version("fastfeed")


def test_the_values_are_this_machines(found: dict[str, Any]) -> None:
    values = {finding["name"]: finding["values"] for finding in found["findings"]}
    assert values["versions"]["python"] == platform.python_version()
    assert values["kernel"]["release"] == platform.release()
    assert values["cores"]["affinity_cores"] == len(os.sched_getaffinity(0))
    pages = os.sysconf("SC_PHYS_PAGES")
    assert values["memory"]["total_bytes"] == pages * os.sysconf("SC_PAGE_SIZE")
    assert 0 < values["memory"]["headroom_bytes"] < values["memory"]["available_bytes"]
    assert values["workers"]["first_batch_s"] > 0
    assert 0 < values["copies"]["one_core_gb_per_s"] < 1000
    assert 0 < values["copies"]["all_cores_gb_per_s"] < 10_000


def test_nothing_could_not_be_looked_at(found: dict[str, Any]) -> None:
    assert [f for f in found["findings"] if "could not be looked at" in f["seen"]] == []


def test_nothing_heavy_is_imported() -> None:
    modules = json.loads(fastfeed(code=MODULES).stdout)
    assert "fastfeed.doctor.gpu" in modules
    assert HEAVY.isdisjoint(modules)


def test_piped_output_is_plain_and_names_every_topic() -> None:
    run = fastfeed("doctor")
    assert (run.returncode, run.stderr) == (0, "")
    assert "\x1b" not in run.stdout
    lines = run.stdout.splitlines()
    heads = [line for line in lines if line[:1] not in ("", " ")]
    for topic in TOPICS:
        assert any(f" {topic}: " in head for head in heads), topic
    assert max(map(len, lines)) <= 80
    assert "fastfeed works here." in lines


@pytest.mark.parametrize("code", [QUICK, WITHOUT_RICH], ids=["rich", "without rich"])
@pytest.mark.parametrize("columns", [40, 20])
def test_no_line_is_wider_than_the_terminal(columns: int, code: str) -> None:
    run = fastfeed("doctor", code=code, COLUMNS=str(columns))
    widest = max(map(len, run.stdout.splitlines()))
    assert columns - 9 < widest <= columns
    words = run.stdout.replace("\n", " ").split()
    assert {"cores:", "memory:", "copies:", "fastfeed"} <= set(words)


def test_with_and_without_rich_the_same_is_said() -> None:
    runs = (fastfeed("doctor", code=code) for code in (QUICK, WITHOUT_RICH))
    with_rich, without = (re.findall(r"^\w+ +[\w/-]+(?=.*:)", run.stdout, re.M) for run in runs)
    assert len(with_rich) >= len(TOPICS)
    assert with_rich == without


def test_a_missing_system_call_is_a_problem_and_exit_status_1() -> None:
    pidfd_open = "434"  # on every architecture
    run = fastfeed(pidfd_open, "doctor", "--json", code=REFUSING)
    if run.returncode == NOT_ALLOWED:
        pytest.skip("this system refuses seccomp filters")
    assert run.returncode == 1
    found = json.loads(run.stdout)
    assert found["usable"] is False
    problems = {f["name"]: f for f in found["findings"] if f["status"] == "problem"}
    assert problems.keys() == {"kernel", "workers"}
    assert problems["kernel"]["values"]["pidfd"] is False
    assert "pidfd_open" in problems["kernel"]["cure"]
    assert problems["workers"]["values"]["threads_work"] is True
    assert "use_multiprocessing=False" in problems["workers"]["cure"]


def test_help_and_version() -> None:
    for arguments in (["--help"], ["doctor", "--help"]):
        run = fastfeed(*arguments)
        assert run.returncode == 0
        assert "doctor" in run.stdout
    assert "--json" in fastfeed("doctor", "--help").stdout
    assert fastfeed("--version").stdout == f"fastfeed {metadata.version('fastfeed')}\n"


@pytest.mark.parametrize("arguments", [[], ["cure"], ["doctor", "--yaml"], ["doctor", "me"]])
def test_wrong_arguments_are_refused(arguments: list[str]) -> None:
    run = fastfeed(*arguments)
    assert (run.returncode, run.stdout) == (2, "")
    assert "usage: fastfeed" in run.stderr
    assert "Traceback" not in run.stderr


# -- in this process ---------------------------------------------------------------------------


def test_looking_twice_gives_the_same_topics_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(copies, "SECONDS", 0.01)
    first, second = ([f.name for f in examine()] for _ in range(2))
    assert first == second
    assert _core.segments_alive() == 0


def test_a_topic_that_fails_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ZeroDivisionError("a file with no numbers")

    monkeypatch.setattr(kernel, "look", broken)
    monkeypatch.setattr(copies, "SECONDS", 0.01)
    findings = {finding.name: finding for finding in examine()}
    assert findings["kernel"].status is Status.WARNING
    assert "ZeroDivisionError" in findings["kernel"].seen
    assert findings["kernel"].means == "a file with no numbers"
    assert set(TOPICS) <= findings.keys()


class Shifted(workers.Numbered):
    """Batches that hold another number."""

    def __getitem__(self, index: int) -> np.ndarray:
        return super().__getitem__(index + 1)


def test_batches_that_arrive_wrong_are_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "Numbered", Shifted)
    found = workers.look()
    assert found.status is Status.PROBLEM
    assert "batches [1, 2, 3, 4, 5, 6, 7, 8] arrived" in found.means
    assert found.values["threads_work"] is False


def test_copies_are_not_measured_where_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies._core, "headroom", lambda: 64 << 20)
    found = copies.look()
    assert (found.status, found.seen) == (Status.NOTE, "not measured")
    assert found.values["room_bytes"] == 64 << 20


@pytest.mark.parametrize(
    ("rate", "load", "status"), [(12.0, 0.5, Status.OK), (0.4, 7.0, Status.NOTE)]
)
def test_slow_copies_are_noted(rate: float, load: float, status: Status) -> None:
    found = copies._judge(rate, rate, 2, load)
    assert found.status is status
    assert ("Others used the cores" in found.means) == (load > 2)
    assert f"{rate / copies.PICTURES_GB:,.0f} batches/s" in found.means
