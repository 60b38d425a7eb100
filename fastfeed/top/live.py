"""Draws on a terminal again and again, and leaves it as it was. Needs rich."""

from __future__ import annotations

import io
import os
import select
import signal
import sys
import time

from rich.console import Console
from rich.live import Live

from fastfeed.top.screen import Screen
from fastfeed.top.watch import Watch

ENDING = (signal.SIGINT, signal.SIGTERM)
"""Signals that end it."""


def show(watch: Watch, interval: float) -> int:
    """Draw on the terminal's second screen, which comes and goes, until the process ends.

    Returns
    -------
    int
        The signal that ended this before; else 0.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names in letters that the terminal does not have must not end this.
        sys.stdout.reconfigure(errors="backslashreplace")
    signals = _signals()
    console = Console()
    last = None
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while (picture := watch.look()) is not None:
            last = picture
            live.update(Screen(picture, fits=True), refresh=True)
            number = _wait(interval, live, signals)
            if number:
                return number
    if last is not None:
        console.print(Screen(last))
    return 0


def _signals() -> int:
    """Return a descriptor from which the numbers of signals can be read as they come.

    An exception in their place could come while the terminal is being restored. And a call that
    only sleeps would miss those that another thread takes (NumPy has some).
    """
    reading, writing = os.pipe()
    for end in (reading, writing):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(writing)
    for number in (*ENDING, signal.SIGWINCH):
        signal.signal(number, lambda number, frame: None)
    return reading


def _wait(seconds: float, live: Live, signals: int) -> int:
    """Wait for the next look; draw the last one again when the window changes its size.

    Returns
    -------
    int
        A signal that is to end this; 0: none came.
    """
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if select.select([signals], [], [], left)[0]:
            came = os.read(signals, 512)
            if signal.SIGWINCH in came:
                live.refresh()
            for number in ENDING:
                if number in came:
                    return number
    return 0
