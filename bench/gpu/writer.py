"""``python -m bench.gpu.writer FD MODE ...``: another process that writes into shared memory.

As a worker does. ``pattern``: fill all of it once. ``loop SIZE STREAM NUMBER OF``: write batches
into its share of the memory again and again until standard input ends, and answer every line on it
with the bytes written and the time.
"""

from __future__ import annotations

import select
import subprocess
import sys
import time
from typing import Any

import numpy as np

import fastfeed
from bench.harness import ROOT
from fastfeed import _core

PERIOD = 251  # a prime, so that no two pages look alike


def pattern(size: int) -> np.ndarray:
    """Return the bytes that `fill` writes."""
    return np.resize(np.arange(PERIOD, dtype=np.uint8), size)


def fill(memory: np.ndarray) -> None:
    """Write the pattern: the first half with NumPy's copy, the other with fastfeed's."""
    middle = len(memory) // 2
    expected = pattern(len(memory))
    np.copyto(memory[:middle], expected[:middle])
    fastfeed.copyto(memory[middle:], expected[middle:])


def loop(memory: np.ndarray, size: int, copy: Any) -> None:
    """Write batches until standard input ends."""
    batches = [pattern(size) + np.uint8(k) for k in range(4)]
    places, written = len(memory) // size, 0
    while True:
        for place in range(places):
            copy(memory[place * size : (place + 1) * size], batches[place % 4])
            written += size
            if select.select([0], [], [], 0)[0]:
                if not sys.stdin.readline():
                    return
                print(written, time.perf_counter(), flush=True)


class Writers:
    """Processes that write into shared memory of this one.

    Parameters
    ----------
    fd : int
        Of the memory.
    size : int
        Bytes of a batch.
    count : int
        Processes; each has its share of the memory.
    copy : {"stream", "numpy"}
        By `fastfeed.copyto` or `numpy.copyto`.
    """

    def __init__(self, fd: int, size: int, count: int, copy: str):
        self._processes = [
            start(fd, "loop", str(size), copy, str(number), str(count)) for number in range(count)
        ]
        self.look()  # they are at work

    def look(self) -> list[tuple[int, float]]:
        """Return bytes written so far and the time, for each process."""
        for process in self._processes:
            process.stdin.write("\n")
            process.stdin.flush()
        lines = [process.stdout.readline().split() for process in self._processes]
        return [(int(written), float(at)) for written, at in lines]

    def rate(self, before: list[tuple[int, float]], after: list[tuple[int, float]]) -> float:
        """Return bytes a second of all, between two looks."""
        return sum(
            (end - begin) / (until - since)
            for (begin, since), (end, until) in zip(before, after, strict=True)
        )

    def close(self) -> None:
        """End them."""
        for process in self._processes:
            process.communicate()


def start(fd: int, *arguments: str) -> subprocess.Popen[str]:
    """Start a writer."""
    return subprocess.Popen(
        [sys.executable, "-m", "bench.gpu.writer", str(fd), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        pass_fds=(fd,),
    )


def write_pattern(fd: int) -> None:
    """Have another process fill the memory."""
    process = start(fd, "pattern")
    process.communicate()
    if process.returncode:
        raise RuntimeError(f"the writing process ended with status {process.returncode}")


def main(fd: str, mode: str, *arguments: str) -> None:
    """Write."""
    memory = np.frombuffer(_core.Mapping(int(fd)), np.uint8)
    if mode == "pattern":
        fill(memory)
        return
    size, copy, number, count = int(arguments[0]), arguments[1], *map(int, arguments[2:])
    share = len(memory) // count
    copies = {"stream": fastfeed.copyto, "numpy": np.copyto}
    loop(memory[number * share : (number + 1) * share], size, copies[copy])


if __name__ == "__main__":
    main(*sys.argv[1:])
