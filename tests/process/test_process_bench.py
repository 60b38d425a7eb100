"""``fastfeed bench``, run as a user runs it: every loader that is here, bad input, Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from process_scripts import HERE, SEARCHED, Script

from fastfeed.benchmark.accelerators import ACCELERATORS
from fastfeed.benchmark.loaders import LOADERS

COMMAND = [sys.executable, "-P", "-m", "fastfeed", "bench"]
ONE_ROUND = ["--repeats", "1", "--seconds", "3", "--workers", "2"]
PLAIN = ["--loaders", "plain", *ONE_ROUND]
LINE = """
import sys
from fastfeed.cli import main
sys.exit(main(sys.argv[1:]))
"""


def bench(folder: Path, *arguments: str, **change: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder."""
    environment = {**os.environ, "PYTHONPATH": SEARCHED, "COLUMNS": "80", **change}
    return subprocess.run(
        [*COMMAND, *arguments], cwd=folder, env=environment, capture_output=True, text=True,
        timeout=100,
    )  # fmt: skip


def rows(path: Path) -> dict[str, Any]:
    """Read the rows of the first table."""
    return {row["loader"]: row for row in json.loads(path.read_text())["tables"][0]["rows"]}


@pytest.mark.long
def test_every_loader_that_is_here_is_measured(tmp_path: Path) -> None:
    done = bench(tmp_path, "--work", "rows", *ONE_ROUND, "--out", "out", "--seconds", "20")
    assert done.returncode == 0, done.stdout + done.stderr
    found = rows(tmp_path / "out" / "bench.json")
    assert found.keys() == {kind.name for kind in LOADERS}
    for kind in LOADERS:
        row = found[kind.name]
        if kind.missing:
            assert (row["status"], row["reason"]) == ("left out", kind.missing)
            continue
        assert row["status"] == "measured", row
        assert len(row["seconds"]) == len(row["cpu_seconds"]) == 1 and row["seconds"][0] > 0
        assert row["cpu_seconds"][0] > 0 and row["peak_bytes"] > 10 << 20
        assert len(row["first_batch_seconds"]) == 2 and min(row["first_batch_seconds"]) > 0
        assert kind.name in done.stdout
    assert (tmp_path / "out" / "bench.md").read_text().count("\n| ") > len(LOADERS)
    assert (tmp_path / "out" / "bench.png").read_bytes().startswith(b"\x89PNG")
    assert "measuring small rows" in done.stderr and "\x1b" not in done.stdout + done.stderr


def test_a_users_own_source(tmp_path: Path) -> None:
    loaders = ["--loaders", "plain,fastfeed", *ONE_ROUND]
    done = bench(tmp_path, "--work", f"{HERE}/bench_sources.py:Good", *loaders, "--json", "j")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4x3 float32, 4 int64, scalar float64" in " ".join(done.stdout.split())
    found = rows(tmp_path / "j")
    assert found["fastfeed"]["status"] == found["plain"]["status"] == "measured"
    assert found["fastfeed-fill"]["reason"] == "the source has no fill(index, out, rng)"


@pytest.mark.parametrize(
    ("name", "said"), [("Random", "contents not compared"), ("stream", "24 bytes a batch")]
)
def test_a_source_that_differs_at_each_call_and_a_stream(
    tmp_path: Path, name: str, said: str
) -> None:
    done = bench(tmp_path, "--work", f"bench_sources:{name}", *PLAIN)
    assert done.returncode == 0, done.stdout + done.stderr
    assert said in done.stdout.replace("\n", " ")


def test_other_bytes_than_the_sources_are_wrong(tmp_path: Path) -> None:
    done = bench(tmp_path, "--work", "bench_sources:ProcessNumbers", *PLAIN, "--json", "j")
    assert done.returncode == 1
    assert "wrong: batch 0 has other contents than the source gives" in done.stdout
    assert rows(tmp_path / "j")["plain"]["seconds"] == []


def test_a_source_that_fails_in_a_loader(tmp_path: Path) -> None:
    done = bench(tmp_path, "--work", "bench_sources:FailsLater", *PLAIN)
    assert done.returncode == 1
    assert "failed: ValueError: late boom" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--loaders", "dali"], 2, "There is no loader 'dali'. There are: fastfeed-fill"),
        (["--work", "jpg"], 2, "There is no work 'jpg'. There are: rows"),
        (["--emulate", "v100"], 2, "There is no accelerator 'v100'. There are: resnet50-h100"),
        (["--work", "rows", "--emulate", "cosmoflow-h100"], 2, "not allowed with"),
        (["--workers", "0"], 2, "not a number from 1 to"),
        (["--scale", "2"], 2, "not a number above 0 and at most 1"),
        (["--emulate", "unet3d-h100", "--queue", "1024"], 2, "--scale"),
        (["--json", "no/such/folder.json"], 2, "no/such/folder.json cannot be written"),
        (["--picture", "a.xyz"], 2, "must end in .png, .svg, .pdf"),
        (["--work", "no_such_module:x"], 1, "There is no module no_such_module"),
        (["--work", "bench_sources:nothing"], 1, "has no nothing"),
        (["--work", "bench_sources:text"], 1, "is no source"),
        (["--work", "bench_sources:FailsAtSeven"], 1, "fails at batch 7: ValueError: boom"),
        (["--work", "bench_sources:EndsTheProcess"], 1, "its process ended: exit status 3"),
        (["--work", "bench_sources:NeverYields", "--seconds", "1"], 1, "no batches within 1 s"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else None,
)
def test_bad_input(tmp_path: Path, arguments: list[str], status: int, said: str) -> None:
    done = bench(tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (status, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_ctrl_c_keeps_what_was_measured(tmp_path: Path) -> None:
    arguments = ("bench", "--work", "rows", "--loaders", "plain", "--repeats", "900", "--json", "j")
    script = Script(
        tmp_path, LINE, on_terminal=True, arguments=arguments,
        environment={"TERM": "xterm-256color", "COLUMNS": "80", "NO_COLOR": "1"},
    )  # fmt: skip
    script.wait_for("plain, round 3")
    script.press_ctrl_c()
    assert script.finish() == 128 + signal.SIGINT
    assert script.output.rstrip().endswith("fastfeed: interrupted.")
    assert "Traceback" not in script.output
    assert json.loads((tmp_path / "j").read_text())["interrupted"] is True
    assert len(rows(tmp_path / "j")["plain"]["seconds"]) >= 2
    assert "of limit" in script.output


def test_accelerators_kept_fed(tmp_path: Path) -> None:
    name = "cosmoflow-a100"
    arguments = ["--emulate", name, "--scale", "0.001", *PLAIN, "--json", "j", "--markdown", "m"]
    done = bench(tmp_path, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "j").read_text())["emulations"][0]
    row = found["rows"][0]
    assert [one["accelerators"] for one in row["tried"]] == [2**k for k in range(len(row["tried"]))]
    least = ACCELERATORS[name].least_au
    kept = [one["accelerators"] for one in row["tried"] if one["utilization"][0] >= least]
    assert row["fed"] == max(kept, default=0)
    assert all(0 < one["utilization"][0] <= 1 for one in row["tried"])
    assert "2,828 bytes (scaled down from 2,828,486)" in " ".join(done.stdout.split())
    assert "AU with 1" in (tmp_path / "m").read_text()
