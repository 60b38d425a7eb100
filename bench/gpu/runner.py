"""Runs commands that may fail or hang: in processes of their own, with a time limit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bench.gpu.record import Entry, read
from bench.gpu.settings import Settings
from bench.harness import ROOT

ENVIRONMENT = {
    "PYTHONUNBUFFERED": "1",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # JAX takes most of the card otherwise
}
KEPT = 8000  # characters of what a command says, from the end


@dataclass(frozen=True)
class Outcome:
    """How a command ended, and what a part wrote down.

    Parameters
    ----------
    seconds : float
    error : str
        Empty if all went well.
    output : str
        The end of what it printed.
    entries : list of Entry
    """

    seconds: float
    error: str
    output: str
    entries: list[Entry] = field(default_factory=list)


def run(command: Sequence[str], limit: float) -> Outcome:
    """Run a command in the repository's root; after `limit` seconds it is ended, with all that it
    has started.
    """
    begin = time.monotonic()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env=os.environ | ENVIRONMENT | {"PYTHONPATH": _python_path()},
            start_new_session=True,
        )
        try:
            error = _wait(process, limit)
        finally:
            _end(process)
        output.seek(0)
        said = output.read().decode(errors="replace")[-KEPT:]
    return Outcome(time.monotonic() - begin, error, said)


def run_part(module: str, settings: Settings, limit: float, folder: Path) -> Outcome:
    """Run one part; what it wrote down until it failed or was ended is kept."""
    file = folder / f"{module}.jsonl"
    command = [sys.executable, "-m", "bench.gpu.part", module, str(file), f"{limit}"]
    outcome = run([*command, settings.dumps()], limit)
    return Outcome(outcome.seconds, outcome.error, outcome.output, read(file))


def _python_path() -> str:
    return os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])


def _wait(process: subprocess.Popen[bytes], limit: float) -> str:
    try:
        code = process.wait(limit)
    except subprocess.TimeoutExpired:
        return f"no end within {limit:.0f} s"
    return f"ended with status {code}" if code else ""


def _end(process: subprocess.Popen[bytes]) -> None:
    """End what still runs. Lanes and workers have sessions of their own, hence the tree."""
    tree = []
    with suppress(psutil.NoSuchProcess):
        tree = psutil.Process(process.pid).children(recursive=True)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    for child in tree:
        with suppress(psutil.NoSuchProcess):
            child.kill()
    process.wait()
