"""Numbers in words, as every report here writes them."""

from __future__ import annotations


def count(number: int, noun: str) -> str:
    """Write a number of things: ``"1 core"``, ``"2 cores"``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def duration(seconds: float) -> str:
    """Write a time with three digits: ``"35.1 ms"``."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"
