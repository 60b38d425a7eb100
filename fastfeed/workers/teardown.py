"""What a second Ctrl-C and the end of the interpreter must not break."""

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
    """Let Ctrl-C wait while something is taken down, a second or two at the most.

    It is forgotten if an earlier one is the reason for the end, or if the program ends anyway: who
    presses it twice wants one traceback, of his own loop.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # Python runs signal handlers in the main thread only
        return
    handler = signal.getsignal(signal.SIGINT)
    if handler is None:  # set by other means than Python's: not ours to replace
        yield
        return
    presses: list[int] = []
    interrupted = isinstance(sys.exc_info()[1], KeyboardInterrupt)
    signal.signal(signal.SIGINT, lambda number, frame: presses.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    if presses and not interrupted and not interpreter_is_ending():
        signal.raise_signal(signal.SIGINT)
