"""An end that also reaches code of the user's that never comes back."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType


class OutOfTime(BaseException):
    """The time is up. No Exception: a step that catches those must not swallow it."""


@contextlib.contextmanager
def alarm(at: float) -> Iterator[None]:
    """Raise `OutOfTime` in the block at a time of `time.perf_counter`, whatever it is doing.

    By SIGALRM, which interrupts sleeps and a Loader's waiting. What was set for that signal before
    is set again afterwards, so alarms may be nested. Only the main thread gets signals: in others
    nothing happens, and the time is looked at between two batches only.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, _ring)
    left, interval = signal.setitimer(signal.ITIMER_REAL, max(at - time.perf_counter(), 1e-6))
    entered = time.perf_counter()
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        if before is not None:  # else C code's: Python cannot set it again
            signal.signal(signal.SIGALRM, before)
        if left:
            passed = time.perf_counter() - entered
            signal.setitimer(signal.ITIMER_REAL, max(left - passed, 1e-6), interval)


def _ring(number: int, frame: FrameType | None) -> None:
    raise OutOfTime
