"""What ``fastfeed bench`` is doing: a bar on a terminal, a line a work elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any

from fastfeed.benchmark.results import Emulation, Table
from fastfeed.cli.bar import bar
from fastfeed.cli.bench_table import emulation_parts, table_parts
from fastfeed.cli.output import width, write


class Shown:
    """Shows the progress on standard error, so that a pipe gets the tables alone.

    With rich and a terminal that can, a bar that is gone at the end; else a line for each part.

    Attributes
    ----------
    shown : int
        Parts whose tables were printed.
    """

    def __init__(self) -> None:
        self._bar = bar()
        self._task: Any = None
        self.shown = 0

    def __enter__(self) -> Shown:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar:
            self._bar.stop()

    def part(self, title: str, rounds: int) -> None:
        """Begin a part of so many rounds."""
        if self._bar is None:
            _say(f"measuring {title}" + (f": {rounds} rounds at the most" if rounds else ""))
            return
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task("", total=rounds or None)

    def now(self, what: str, rounds_done: int = 0) -> None:
        """Say what is being done."""
        if self._bar is None:
            return
        if self._task is None:
            self._task = self._bar.add_task("", total=None)
        self._bar.update(self._task, description=what, advance=rounds_done)

    def finished(self, part: Table | Emulation) -> None:
        """Print a part's table, with the bar out of the way."""
        if self._bar:
            self._bar.stop()
        show(part)
        self.shown += 1
        if self._bar:
            self._bar.start()


def show(part: Table | Emulation) -> None:
    """Print a part's table to standard output."""
    if isinstance(part, Table):
        write(table_parts(part, width()))
    else:
        write(emulation_parts(part, width()))


def _say(text: str) -> None:
    if sys.stderr is not None:
        print(text, file=sys.stderr, flush=True)
