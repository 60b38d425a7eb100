"""Work in Python of a known amount: what a training thread does besides waiting for batches."""

from __future__ import annotations

import time

CALIBRATION = 2_000_000  # loops


def work(loops: int) -> int:
    """Keep the interpreter, and its lock, busy."""
    total = 0
    for number in range(loops):
        total += number & 7
    return total


def loops_a_second() -> float:
    """Return how many loops this interpreter does in a second: the best of five tries."""
    best = float("inf")
    for _ in range(5):
        begin = time.perf_counter()
        work(CALIBRATION // 5)
        best = min(best, time.perf_counter() - begin)
    return CALIBRATION / 5 / best
