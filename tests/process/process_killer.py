"""Kills workers, for the tests of what becomes of their batches."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading

from leftovers import worker_pids


def kill_some(progress: threading.Event, done: threading.Event) -> None:
    """Kill a random worker some milliseconds after each batch. (By the clock alone a busy machine
    would kill them faster than they can begin.)
    """
    while not done.wait(random.random() / 50):
        if not progress.wait(0.05):
            continue
        progress.clear()
        pids = worker_pids()
        for pid in random.sample(pids, min(1, len(pids))):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
