"""What a second Ctrl-C, an alarm and the end of the interpreter must not break."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager


def interpreter_is_ending() -> bool:
    """Tell whether the main thread is done. Daemon threads may still be in the middle of a loop."""
    return not threading.main_thread().is_alive()


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let Ctrl-C and alarms wait while something is taken down, a second or two at the most.

    Ctrl-C is forgotten if an earlier one is the reason for the end: who presses it twice wants one
    traceback, of his own loop. Both are if the program ends anyway.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # Python runs signal handlers in the main thread only
        return
    came: list[int] = []
    interrupted = isinstance(sys.exc_info()[1], KeyboardInterrupt)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGALRM)}
    ours = {number: handler for number, handler in handlers.items() if handler is not None}
    for number in ours:  # the others were set by other means than Python's: not ours to replace
        signal.signal(number, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        for number, handler in ours.items():
            signal.signal(number, handler)
    for one in came:
        if not interpreter_is_ending() and not (interrupted and one == signal.SIGINT):
            signal.raise_signal(one)
