"""``fastfeed tune`` as users run it: its files, its screens, Ctrl-C, wrong input."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from process_scripts import Script

from fastfeed.tuning.result import Ended, TuneResult

COMMAND = [sys.executable, "-P", "-m", "fastfeed", "tune"]
SOURCES = """
import time
import numpy as np

ROWS = np.zeros((8, 4), np.float32)

class Waits:
    def __len__(self):
        return 50
    def __getitem__(self, index):
        time.sleep(0.01)
        return ROWS

class Fails(Waits):
    def __getitem__(self, index):
        if index == 7:
            raise OSError("no picture 7")
        return ROWS

class Slow(Waits):
    def __getitem__(self, index):
        time.sleep(600)

def never():
    while True:
        time.sleep(0.1)
    yield ROWS

def step(batch):
    assert batch.shape == (8, 4)
    time.sleep(0.005)

def bad_step(batch):
    raise ValueError("no such shape")

number = 42
empty = []
iterator = iter([ROWS])
rows = np.zeros((100, 4), np.float32)
"""
MAIN = """
import sys
from fastfeed.cli import main

sys.exit(main(["tune", "work:Waits", "--step-ms", "5", "--budget", "20"]))
"""
TERMINAL = {"TERM": "xterm-256color", "COLUMNS": "40", "NO_COLOR": "1"}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Path:
    (tmp_path / "work.py").write_text(SOURCES)
    (tmp_path / "broken.py").write_text("import numpy\nnumpy.absent\n")
    hidden = tmp_path / "hidden"  # drawing takes longer than all else, and one test is enough
    hidden.mkdir()
    (hidden / "matplotlib.py").write_text("raise ImportError('not installed')\n")
    return tmp_path


def tune(folder: Path, *arguments: str, pictures: bool = False) -> tuple[int, str, str]:
    """Run the command; return its exit status and what it wrote."""
    environment = dict(os.environ, COLUMNS="80")
    if not pictures:
        environment["PYTHONPATH"] = str(folder / "hidden")
    ended = subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert "Traceback" not in ended.stderr
    return ended.returncode, ended.stdout, ended.stderr


def test_all_files_and_the_line_to_paste(folder: Path) -> None:
    arguments = ("work.py:Waits", "--step", "work:step", "--budget", "3", "--out", "a/b")
    _, output, told = tune(folder, *arguments, pictures=True)
    written = {path.name for path in (folder / "a/b").iterdir()}
    assert written == {"tune.json", "tune.md", "tune.svg", "tune.png", "tune.html"}
    result = TuneResult.from_json((folder / "a/b/tune.json").read_text())
    assert result.source == "work.py:Waits" and result.step is not None
    assert f"\n    {result.arguments}\n" in output
    assert result.arguments in (folder / "a/b/tune.md").read_text()
    page = (folder / "a/b/tune.html").read_text()
    assert "<svg" in page and result.arguments in page
    assert "fastfeed tune work.py:Waits --step work:step" in page  # to run it again
    lines = told.splitlines()  # plain in a pipe, where the answer is not
    assert re.fullmatch(r"1 worker alone: [\d.]+ batches/s", lines[0])
    assert re.fullmatch(r"the step alone: [\d.]+ ms", lines[1])


def test_json_is_all_of_the_output_and_matplotlib_is_not_needed(folder: Path) -> None:
    status, output, told = tune(folder, "work:Waits", "--budget", "1", "--threads", "--json")
    assert status == 0, told
    assert json.loads(output) == json.loads((folder / "tune/tune.json").read_text())
    assert {path.name for path in (folder / "tune").iterdir()} == {"tune.json", "tune.md"}
    assert json.loads(output)["threads"] is True


def test_without_matplotlib_a_sentence_says_what_to_install(folder: Path) -> None:
    _, output, _ = tune(folder, "work:rows", "--batch-size", "10", "--budget", "1")
    written = " ".join(output.split())
    assert "Written: tune/tune.json, tune/tune.md." in written
    assert "pip install 'fastfeed[plot]'" in written


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["work:Fails", "--budget", "5"], "OSError: no picture 7. This is the answer so far."),
        (["work:Slow", "--budget", "1"], "The budget of 1 s was used up."),
        (["work:never", "--budget", "1"], "The budget of 1 s was used up."),
        (
            ["work:Waits", "--budget", "5", "--step", "work:bad_step"],
            "The step failed with ValueError: no such",
        ),
    ],
    ids=["fails at index 7", "slower than the budget", "never yields", "step fails"],
)
def test_what_fails_leaves_an_answer_and_files(
    folder: Path, arguments: list[str], said: str
) -> None:
    status, output, told = tune(folder, *arguments)
    assert status == 1
    assert told.splitlines()[-1].startswith("fastfeed: ") and said in told
    assert re.search(r"\n    workers=\d+, max_queue_size=\d+\n", output)
    assert "The answer so far: " in output
    result = TuneResult.from_json((folder / "tune/tune.json").read_text())
    assert result.ended in (Ended.FAILED, Ended.OUT_OF_TIME)
    assert result.error in (folder / "tune/tune.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["absent:x"], "There is no module absent"),
        (["broken:x"], "Importing broken failed: AttributeError"),
        (["work:absent"], "work has no absent. It defines: ROWS, Waits, Fails"),
        (["work"], "Write module:name"),
        (["work:number"], "A source is an object with __len__"),
        (["work:empty"], "is empty"),
        (["work:iterator"], "An iterator serves one pass"),
        (["work:rows"], "batch_size=32"),
        (["work:Waits", "--step", "work:number"], "number is no function"),
        (["work:Waits", "--out", "work.py/x"], "work.py/x cannot be written: Not a directory"),
        (["work:Waits", "--framework", "mxnet"], "framework"),
        (["work:Waits", "--memory", "much"], "not a size such as 512M"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_arguments(folder: Path, arguments: list[str], said: str) -> None:
    status, output, told = tune(folder, *arguments)
    assert (status, output) == (2, "")
    assert said in told
    assert told.splitlines()[-1].startswith(("fastfeed: ", "fastfeed tune: error: "))


def test_a_file_that_cannot_be_replaced(folder: Path) -> None:
    (folder / "tune/tune.md").mkdir(parents=True)
    status, _, told = tune(folder, "work:rows", "--batch-size", "10", "--budget", "1")
    assert status == 2
    assert "tune/tune.md cannot be written: Is a directory." in told


def test_ctrl_c_on_a_narrow_terminal_gives_the_answer_so_far(folder: Path) -> None:
    environment = TERMINAL | {"PYTHONPATH": f"{folder / 'hidden'}{os.pathsep}{folder}"}
    script = Script(folder, MAIN, on_terminal=True, environment=environment)
    script.wait_for("1 worker alone: ")
    script.press_ctrl_c()
    assert script.finish() == 128 + signal.SIGINT
    plain = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", script.output)
    assert "fastfeed: Interrupted. This is the answer so far." in plain
    result = TuneResult.from_json((folder / "tune/tune.json").read_text())
    assert result.ended is Ended.INTERRUPTED and result.points
    answer = plain[plain.index("Workers alone\n") :].split("fastfeed: ")[0]
    assert re.search(r"\n    workers=\d+, max_queue_size=\d+\n", answer)
    assert max(map(len, answer.splitlines())) <= 40
