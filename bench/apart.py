"""A command in a process of its own: its answer, what it costs, and nothing left behind."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Any

import psutil

from bench.harness import ENVIRONMENT, ROOT, machine_cpu_seconds

NO_ENVIRONMENT: Mapping[str, str] = {}


def run_apart(
    command: Sequence[str],
    environment: Mapping[str, str] = NO_ENVIRONMENT,
    limit: float = 900.0,
    look_every: float | None = None,
) -> dict[str, Any]:
    """Run a command in the repository's root; its last line is its answer, as JSON.

    Parameters
    ----------
    command : sequence of str
    environment : mapping of str to str
        On top of this process's and `ENVIRONMENT`.
    limit : float
        Seconds, after which it is ended with all that it has started.
    look_every : float, optional
        Seconds between two looks at the memory of the command and all below it. A look costs CPU
        and stops the process for a moment, so a run whose times count has none.

    Returns
    -------
    dict
        The answer, with ``cores_used_by_others`` while it ran and, with `look_every`, ``peak_mb``
        (10^6 bytes of PSS); or ``error`` alone.
    """
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        begin, before = time.monotonic(), _used_by_others()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=errors,
            cwd=ROOT,
            env=os.environ | ENVIRONMENT | environment,
            start_new_session=True,
        )
        try:
            peak = _watch(process, limit, look_every)
        finally:
            _end(process)
        if peak is None:
            return {"error": f"no end within {limit:.0f} s"}
        if process.returncode:
            return {"error": (_text(errors).splitlines() or ["no message"])[-1]}
        others = (_used_by_others() - before) / (time.monotonic() - begin)
        memory = {"peak_mb": peak / 1e6} if look_every else {}
        answer = json.loads(_text(out).splitlines()[-1])
        return {**answer, **memory, "cores_used_by_others": max(0.0, others)}


def tree_memory(pid: int) -> float:
    """Return the bytes of PSS of a process and all below it; those that have just ended count 0."""
    total = 0.0
    for process in tree(pid):
        try:
            total += process.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return total


def tree(pid: int) -> list[psutil.Process]:
    """Return a process and all below it; empty if it has ended."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _watch(
    process: subprocess.Popen[bytes], limit: float, look_every: float | None
) -> float | None:
    """Wait for the end; return the largest PSS of the tree in bytes, None if there is no end."""
    peak, until = 0.0, time.monotonic() + limit
    while time.monotonic() < until:
        try:
            process.wait(look_every or limit)
            return peak
        except subprocess.TimeoutExpired:
            peak = max(peak, tree_memory(process.pid))
    return None


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the command with all that it has started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def _text(file: Any) -> str:
    file.seek(0)
    return str(file.read().strip())


def _used_by_others() -> float:
    """Return the CPU seconds of this machine that neither this process nor its children used."""
    own = 0.0
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        usage = resource.getrusage(who)
        own += usage.ru_utime + usage.ru_stime
    return machine_cpu_seconds() - own
