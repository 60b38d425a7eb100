"""``fastfeed top`` on a terminal: it draws, follows the window, and leaves everything as it was."""

from __future__ import annotations

import fcntl
import re
import signal
import struct
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest
from process_scripts import Script
from test_top import SLOW_ITEM, job

TOP = "import sys; from fastfeed.cli import main; sys.exit(main())"
ENTERS, LEAVES = "\x1b[?1049h", "\x1b[?1049l"
HOME = "\x1b[H"
HIDES, SHOWS = "\x1b[?25l", "\x1b[?25h"
COLOUR = re.compile(r"\x1b\[[\d;]*3\dm")
TERMINAL = {"TERM": "xterm-256color", "COLUMNS": "", "LINES": "", "NO_COLOR": "", "COLORTERM": ""}
LONG_S = 30
"""Between looks: what comes earlier was drawn for another reason."""


@pytest.fixture(scope="module")
def stuck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A process whose loop waits for item 7."""
    with job(tmp_path_factory.mktemp("stuck"), SLOW_ITEM) as script:
        yield script.process.pid


class Live:
    """The command in the foreground of a terminal of its own."""

    def __init__(self, folder: Path, pid: int, interval: float = 0.2, **environment: str) -> None:
        self.script = Script(
            folder, TOP, on_terminal=True, environment=TERMINAL | environment,
            arguments=("top", str(pid), "--interval", str(interval)),
        )  # fmt: skip
        self.resize(80, 24)
        self.modes = termios.tcgetattr(self.script.terminal)

    def resize(self, columns: int, lines: int) -> None:
        """Give the window another size; the terminal tells the process."""
        size = struct.pack("HHHH", lines, columns, 0, 0)
        fcntl.ioctl(self.script.terminal, termios.TIOCSWINSZ, size)

    def next_screen(self, text: str) -> list[str]:
        """Wait for a screen that is drawn from here on, with a text; return its lines."""
        before, self.script.output = self.script.output, ""
        self.script.wait_for(HOME)
        self.script.wait_for(text)
        drawn = self.script.output.rpartition(HOME)[2]
        self.script.output = before + self.script.output
        return [re.sub(r"\x1b\[[\d;?]*\w", "", line) for line in drawn.split("\n")]

    def finish(self) -> tuple[int, str]:
        """Return its exit status and what it wrote; the terminal must be as it was."""
        assert termios.tcgetattr(self.script.terminal) == self.modes
        status, output = self.script.finish(), self.script.output
        assert output.index(ENTERS) < output.index(LEAVES)
        assert output.index(HIDES) < output.rindex(SHOWS)
        assert "Traceback" not in output
        return status, output


def test_ctrl_c_ends_it_and_restores_the_terminal(tmp_path: Path, stuck: int) -> None:
    live = Live(tmp_path, stuck)
    live.script.wait_for("making #7 for ")
    live.script.press_ctrl_c()
    status, output = live.finish()
    assert status == 0
    assert COLOUR.search(output)
    after = output.rpartition(LEAVES)[2].replace(SHOWS, "").replace("^C", "")
    assert after.strip() == ""


def test_ctrl_c_again_and_again_without_colours(tmp_path: Path, stuck: int) -> None:
    live = Live(tmp_path, stuck, NO_COLOR="1")
    live.script.wait_for("making #7 for ")
    for _ in range(5):
        live.script.press_ctrl_c()
    status, output = live.finish()
    assert status == 0
    assert not COLOUR.search(output)


def test_another_size_is_drawn_at_once(tmp_path: Path, stuck: int) -> None:
    live = Live(tmp_path, stuck, LONG_S)
    live.script.wait_for("making #7 for ")
    live.resize(40, 30)
    narrow = live.next_screen("#7 ")
    assert max(map(len, narrow)) <= 40
    assert "making #7" not in "\n".join(narrow)
    live.resize(100, 12)
    live.next_screen("2 workers: 1 making, 1 idle")  # no room for a line each
    live.script.press_ctrl_c()
    assert live.finish()[0] == 0


def test_a_terminal_that_can_do_nothing_gets_lines(tmp_path: Path, stuck: int) -> None:
    script = Script(
        tmp_path, TOP, on_terminal=True, environment=TERMINAL | {"TERM": "dumb"},
        arguments=("top", str(stuck), "--interval", "0.1"),
    )  # fmt: skip
    script.wait_for(" making #7 for ")
    script.press_ctrl_c()
    assert script.finish() == 0
    assert "\x1b" not in script.output


def test_a_job_that_ends_leaves_its_last_picture(tmp_path: Path) -> None:
    with job(tmp_path / "job", SLOW_ITEM) as script:
        pid = script.process.pid
        live = Live(tmp_path, pid)
        live.script.wait_for("making #7 for ")
        script.process.kill()
        status, output = live.finish()
    assert status == 1
    left = output.rpartition(LEAVES)[2]
    assert "making #7 for " in left
    assert left.rstrip().endswith(
        f"fastfeed: Process {pid} ({script.process.args[0]} script.py) has ended."
    )


def test_a_signal_that_ends_it_restores_the_terminal(tmp_path: Path, stuck: int) -> None:
    live = Live(tmp_path, stuck)
    live.script.wait_for("making #7 for ")
    live.script.process.terminate()
    assert live.finish()[0] == 128 + signal.SIGTERM
