"""What several commands take, and how they fail."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable

FAILED = 1
"""Exit status where there is no such loader."""


def pid(text: str) -> int:
    """Return the number of a process, for argparse."""
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 1 << 31):
        raise argparse.ArgumentTypeError(f"not the number of a process: {text!r}")
    return int(text)


def seconds(least: float, most: float) -> Callable[[str], float]:
    """Return what reads a number of seconds in these bounds, for argparse."""

    def read(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(
                f"not a number of seconds from {least:g} to {most:g}: {text!r}"
            )
        return number

    return read


def failed(why: str, status: int = FAILED) -> int:
    """Say on standard error why a command ends, and return its exit status."""
    if sys.stderr is not None:
        print(f"fastfeed: {why}", file=sys.stderr)
    return status
