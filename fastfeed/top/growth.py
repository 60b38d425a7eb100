"""Tells a process whose memory grows from one whose memory goes up and down."""

from __future__ import annotations

import statistics

MOST_SAMPLES = 60
FEWEST_SAMPLES = 9
LEAST_BYTES = 8 << 20
"""Growth from a third of the time to the next, below which nothing is said."""
SECOND = 1_000_000_000


class Growth:
    """Samples of a process's private memory, spread over all the time that it is watched."""

    def __init__(self) -> None:
        self._samples: list[int] = []
        self._every_ns = SECOND
        self._next_ns = 0

    def add(self, now_ns: int, size: int) -> None:
        """Take a sample of `size` bytes, if it is time for one."""
        if now_ns < self._next_ns:
            return
        self._next_ns = now_ns + self._every_ns
        self._samples.append(size)
        if len(self._samples) > MOST_SAMPLES:  # from here on half as many
            self._samples = self._samples[::2]
            self._every_ns *= 2

    @property
    def bytes_per_second(self) -> float:
        """How fast it grows; 0.0 if it does not, or was not watched for long enough.

        The medians of the three thirds of the time must all rise: batches that come and go move
        no median, and what a worker loads when it starts is in no more than one step.
        """
        if len(self._samples) < FEWEST_SAMPLES:
            return 0.0
        third = len(self._samples) // 3
        first, middle, last = (
            statistics.median(self._samples[start : start + third])
            for start in (0, third, len(self._samples) - third)
        )
        if min(middle - first, last - middle) < LEAST_BYTES:
            return 0.0
        return (last - middle) / (third * self._every_ns / SECOND)
