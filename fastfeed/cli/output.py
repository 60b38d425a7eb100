"""Writes to standard output: in colour on a terminal, plain elsewhere.

rich decides whether there are colours (a terminal, `NO_COLOR`, `FORCE_COLOR`, `TERM`) and makes
them. Without it everything is said all the same, uncoloured.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable
from io import StringIO

from fastfeed.errors import FastFeedError

NARROWEST = 20
WIDEST = 100

Styled = tuple[str, str]
"""A text and its style, as rich names it: ``"bold red"``; empty: none."""


class OutputError(FastFeedError, OSError):
    """Standard output is closed or full."""


class ReaderGone(OutputError):
    """Who read standard output has ended."""


def width() -> int:
    """Return how many columns a line may have: the terminal's or `COLUMNS`, else 80."""
    return min(max(shutil.get_terminal_size((80, 24)).columns, NARROWEST), WIDEST)


def write(parts: Iterable[Styled]) -> None:
    """Write texts to standard output, at once.

    Raises
    ------
    OutputError
        It cannot be written to.
    """
    put(_coloured(list(parts)))


def put(text: str) -> None:
    """Write a text, with whatever colours it has, to standard output, at once.

    Raises
    ------
    OutputError
        It cannot be written to.
    """
    if sys.stdout is None:
        raise OutputError("Standard output is closed.")
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()
    except BrokenPipeError:
        _silence()
        raise ReaderGone("Whoever read standard output has ended.") from None
    except OSError as error:
        _silence()
        raise OutputError(f"Standard output cannot be written: {error.strerror}.") from None


def _coloured(parts: list[Styled]) -> str:
    try:
        from rich.console import Console
        from rich.text import Text
    except ImportError:
        return "".join(text for text, _ in parts)
    # Into a string: rich answers a broken pipe by ending the program, and nothing else at all.
    drawn = StringIO()
    console = Console(file=drawn, force_terminal=Console().is_terminal, highlight=False)
    console.print(Text.assemble(*parts), soft_wrap=True, end="")
    return drawn.getvalue()


def _silence() -> None:
    """Keep Python from trying again, and complaining, when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
