"""What ``fastfeed tune`` is doing: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from types import TracebackType
from typing import Any

from fastfeed.cli.bar import bar


class Progress:
    """Shows on standard error what is measured, so that standard output has the answer alone.

    The bar shows the time: it is full when the budget is used up, but most runs end before that.

    Parameters
    ----------
    budget_seconds : float
    """

    def __init__(self, budget_seconds: float) -> None:
        self._budget = budget_seconds
        self._bar = bar()
        self._task: Any = None

    def __enter__(self) -> Progress:
        if self._bar is not None:
            self._task = self._bar.add_task("", total=self._budget)
            self._began = time.monotonic()
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def begin(self, what: str) -> None:
        """Something is being measured."""
        if self._bar is not None:
            self._bar.update(self._task, description=what, completed=time.monotonic() - self._began)

    def found(self, what: str) -> None:
        """Something was measured."""
        if self._bar is not None:
            self._bar.console.print(what, highlight=False, markup=False)
        elif sys.stderr is not None:
            with contextlib.suppress(OSError):  # nobody reads it: the answer is what counts
                print(what, file=sys.stderr, flush=True)
