"""The bar that shows how far a command is."""

from __future__ import annotations

import sys
from typing import Any

COLUMNS = 16
NARROW = 60
"""On narrower terminals there is room for the time and the words only."""


def bar() -> Any:
    """Return rich's bar on standard error, gone at its end; None where there is no rich, or no
    screen.
    """
    try:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
    except ImportError:
        return None
    if sys.stderr is None:
        return None
    console = Console(stderr=True)
    if not console.is_terminal or console.is_dumb_terminal:
        return None
    columns: list[Any] = [TimeElapsedColumn(), TextColumn("{task.description}", markup=False)]
    if console.width >= NARROW:
        columns.insert(1, BarColumn(bar_width=COLUMNS))
    return Progress(*columns, console=console, transient=True, refresh_per_second=2)
