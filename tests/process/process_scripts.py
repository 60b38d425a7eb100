"""Runs scripts as users do, and finds every process that they leave behind."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import subprocess
import sys
import termios
import textwrap
import time
import uuid
from pathlib import Path

from leftovers import eventually

HERE = Path(__file__).parent
SEARCHED = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
PATIENCE_S = 50.0


class Script:
    """A Python script in a process of its own, with all that it starts.

    Parameters
    ----------
    folder : Path
        Where it is written and where it runs.
    text : str
        The script. It can import `process_sources`.
    on_terminal : bool
        In the foreground of a terminal of its own, where `press_ctrl_c` works.
    """

    def __init__(
        self,
        folder: Path,
        text: str,
        on_terminal: bool = False,
        environment: dict[str, str] | None = None,
        arguments: tuple[str, ...] = (),
    ) -> None:
        self.path = folder / "script.py"
        self.path.write_text(textwrap.dedent(text))
        self.tag = f"FASTFEED_TEST={uuid.uuid4()}"  # inherited by whatever it starts
        name, value = self.tag.split("=")
        self.terminal, theirs = pty.openpty() if on_terminal else os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, self.path.name, *arguments],
            cwd=folder,
            env={**os.environ, name: value, "PYTHONPATH": SEARCHED, **(environment or {})},
            stdin=theirs if on_terminal else subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=take_terminal if on_terminal else None,
        )
        os.close(theirs)
        self.output = ""

    def wait_for(self, text: str) -> None:
        """Read the output until `text` is there."""
        deadline = time.monotonic() + PATIENCE_S
        while text not in self.output:
            assert time.monotonic() < deadline, f"{text!r} never came:\n{self.output}"
            assert self._read(0.1), f"ended without {text!r}:\n{self.output}"

    def press_ctrl_c(self) -> None:
        """Interrupt the foreground of its terminal, as the key does."""
        os.write(self.terminal, b"\x03")

    def finish(self) -> int:
        """Wait for its end and return its exit status; nothing may be left of it."""
        deadline = time.monotonic() + PATIENCE_S
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"does not end:\n{self.output}"
            self._read(0.05)
        self.check_nothing_left()
        while self._read(0.1):
            pass
        os.close(self.terminal)
        return self.process.returncode

    def check_nothing_left(self) -> None:
        """Assert that all its processes, and with them its shared memory, are gone."""
        assert eventually(lambda: not self.pids()), [describe(pid) for pid in self.pids()]

    def pids(self) -> list[int]:
        """Return its living processes, also those that it does not know itself."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if self.tag.encode() in (folder / "environ").read_bytes():
                    found.append(int(folder.name))
        return found

    def _read(self, timeout_s: float) -> bool:
        """Take in output; False when there is none left to come."""
        if not select.select([self.terminal], [], [], timeout_s)[0]:
            return self.process.poll() is None
        try:
            data = os.read(self.terminal, 65536)
        except OSError:  # a terminal that everybody has closed
            return False
        self.output += data.decode(errors="replace").replace("\r\n", "\n")
        return bool(data)


def take_terminal() -> None:
    """Make standard input the terminal of this session."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def describe(pid: int) -> str:
    """Return the number and command line of a process."""
    with contextlib.suppress(OSError):
        return f"{pid}: {Path(f'/proc/{pid}/cmdline').read_text()}"
    return str(pid)


def run(folder: Path, text: str, **options) -> tuple[int, str]:
    """Run a script to its end; return its exit status and output."""
    script = Script(folder, text, **options)
    return script.finish(), script.output
