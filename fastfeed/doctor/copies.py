"""How fast this machine copies batches into slots: the limit of every loader that copies.

Each thread copies pieces of one large array into a slot of its own, with fastfeed's own copy. The
array and the slots are in memory before the clock starts.
"""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from fastfeed import _core
from fastfeed.doctor.finding import Finding, Status
from fastfeed.errors import FastFeedError

PIECE = 8 << 20
"""Bytes a copy; above what the core copies around the caches."""
PIECES = 16
"""In the array that is copied from: more than most caches hold."""
MOST_THREADS = 64
SECONDS = 0.4
"""Of each of the two measurements."""
PATIENCE_S = 10.0
"""For threads that do not start."""
GB = 1e9
PICTURES_GB = 32 * 224 * 224 * 3 * 4 / GB
SLOW_GB_PER_S = 1.0


def look() -> Finding:
    """Measure with one thread, then with one a core."""
    cores = min(len(os.sched_getaffinity(0)), MOST_THREADS)
    needed = (PIECES + cores) * PIECE
    room = _core.headroom()
    if needed > room:
        return Finding(
            "copies", Status.NOTE, "not measured", {"needed_bytes": needed, "room_bytes": room},
            "There is too little memory for the measurement.",
        )  # fmt: skip
    source = np.ones(PIECES * PIECE, np.uint8)
    try:
        slots = _slots(cores)
    except FastFeedError as error:
        return Finding("copies", Status.NOTE, f"not measured: {error}")
    one, all_ = (_gb_per_s(slots, source, threads) for threads in (1, cores))
    return _judge(one, all_, cores, os.getloadavg()[0])


def _judge(one: float, all_: float, cores: int, load: float) -> Finding:
    seen = f"{one:.1f} GB/s with one core"
    if cores > 1:
        seen += f", {all_:.1f} GB/s with {cores}"
    best = max(one, all_)
    means = (
        f"At most {best / PICTURES_GB:,.0f} batches/s of 32x224x224x3 float32 "
        f"({1000 * PICTURES_GB:.1f} MB), if each is copied once."
    )
    if load > cores:
        means += f" Others used the cores meanwhile (load average {load:.1f})."
    values = {
        "one_core_gb_per_s": round(one, 2),
        "all_cores_gb_per_s": round(all_, 2),
        "cores": cores,
        "load_average": round(load, 2),
    }
    if best >= SLOW_GB_PER_S:
        return Finding("copies", Status.OK, seen, values, means)
    return Finding(
        "copies", Status.NOTE, seen, values, f"{means} That is slow.",
        "Look whether other jobs use this machine. A source with "
        "fill(index, out, rng) is not copied at all; uint8 has a quarter of the bytes.",
    )  # fmt: skip


def _slots(count: int) -> _core.Mapping:
    """Return warm shared memory, as slots lie in."""
    fd = _core.create_memory("fastfeed-doctor", count * PIECE)
    try:
        return _core.Mapping(fd)
    finally:
        os.close(fd)


def _gb_per_s(slots: _core.Mapping, source: np.ndarray, threads: int) -> float:
    """Copy for a while; the bytes of all threads over the time from the first to the last."""
    pieces = source.reshape(PIECES, PIECE)
    together = threading.Barrier(threads, timeout=PATIENCE_S)

    def copy(thread: int) -> tuple[float, float, int]:
        together.wait()
        begin = time.perf_counter()
        count = 0
        while time.perf_counter() < begin + SECONDS:
            slots.copy_in(thread * PIECE, pieces[(thread + count) % PIECES])
            count += 1
        return begin, time.perf_counter(), count

    with ThreadPoolExecutor(threads) as pool:
        begins, ends, counts = zip(*pool.map(copy, range(threads)), strict=True)
    return float(sum(counts) * PIECE / GB / (max(ends) - min(begins)))
