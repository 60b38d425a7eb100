"""``fastfeed doctor`` on a terminal, and where its output goes nowhere: colours, Ctrl-C, pipes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from process_scripts import Script, run

COLOUR = re.compile(r"\x1b\[[\d;]*m")
MAIN = """
import sys
from fastfeed.cli import main
from fastfeed.doctor import copies

copies.SECONDS = {}
sys.exit(main(["doctor"]))
"""
QUICK = MAIN.format(0.01)
SLOW_WORKERS = """
import time
from fastfeed.doctor import workers

class Stuck(workers.Numbered):
    def __getitem__(self, index):
        time.sleep(60)

workers.Numbered = Stuck
"""
TERMINAL = {"TERM": "xterm-256color", "COLUMNS": "60", "NO_COLOR": ""}
BUFFERED = os.environ | {"PYTHONUNBUFFERED": ""}  # so that the last flush can fail, too
COMMAND = [sys.executable, "-P", "-m", "fastfeed", "doctor"]


def test_a_terminal_gets_colours(tmp_path: Path) -> None:
    status, output = run(tmp_path, QUICK, on_terminal=True, environment=TERMINAL)
    assert status == 0
    assert re.search(r"\x1b\[32mok {7}\x1b\[0m\x1b\[1mversions\x1b\[0m: ", output)
    assert max(len(COLOUR.sub("", line)) for line in output.splitlines()) <= 60


@pytest.mark.parametrize("change", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_a_terminal_without_colours(tmp_path: Path, change: dict[str, str]) -> None:
    environment = {**TERMINAL, **change, "COLUMNS": "40"}
    status, output = run(tmp_path, QUICK, on_terminal=True, environment=environment)
    assert status == 0
    assert not re.search(r"\x1b\[[\d;]*3\dm", output)
    assert "ok       versions: " in COLOUR.sub("", output)
    assert max(len(COLOUR.sub("", line)) for line in output.splitlines()) <= 40


@pytest.mark.parametrize(
    ("text", "seen"),
    [(SLOW_WORKERS + QUICK, "open files: "), (MAIN.format(3), "workers: ")],
    ids=["workers", "copies"],
)
def test_ctrl_c_ends_it_with_one_line(tmp_path: Path, text: str, seen: str) -> None:
    environment = {**TERMINAL, "NO_COLOR": "1", "TERM": "dumb"}
    script = Script(tmp_path, text, on_terminal=True, environment=environment)
    script.wait_for(seen)
    script.press_ctrl_c()
    assert script.finish() == 128 + signal.SIGINT
    assert "cores: " in script.output
    assert script.output.replace("^C", "").endswith("fastfeed: interrupted.\n")
    assert "Traceback" not in script.output


def doctor(command: list[str], stdout: int | None = None) -> tuple[int, str]:
    """Run a command with this standard output; return its exit status and what it complains of."""
    ended = subprocess.run(
        command, env=BUFFERED, stdout=stdout, stderr=subprocess.PIPE, timeout=60, text=True
    )
    return ended.returncode, ended.stderr


@pytest.mark.parametrize("arguments", [[], ["--json"]], ids=["text", "json"])
def test_a_reader_that_has_gone(arguments: list[str]) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    assert doctor([*COMMAND, *arguments], theirs) == (128 + signal.SIGPIPE, "")
    os.close(theirs)


def test_a_closed_standard_output() -> None:
    shell = ["sh", "-c", '"$@" >&-', "sh", *COMMAND]
    assert doctor(shell) == (2, "fastfeed: Standard output is closed.\n")


@pytest.mark.parametrize("arguments", [[], ["--json"]], ids=["text", "json"])
def test_a_full_disk(arguments: list[str]) -> None:
    said = "fastfeed: Standard output cannot be written: No space left on device.\n"
    with open("/dev/full", "w") as full:
        assert doctor([*COMMAND, *arguments], full.fileno()) == (2, said)


def test_an_output_that_has_only_ascii() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    ended = subprocess.run(COMMAND, env=environment, capture_output=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert b"cores: " in ended.stdout


def test_few_open_files_are_found_out(tmp_path: Path) -> None:
    few = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))"
    status, output = run(tmp_path, few + QUICK)
    assert status == 0
    assert re.search(r"^warning +open files: \d+ of at most 64 open$", output, re.MULTILINE)
    workers = re.search(r"it can have\s+about\s+(\d+)\s+workers", output)
    assert workers and 8 < int(workers[1]) < 16
