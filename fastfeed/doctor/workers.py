"""Whether worker processes start, tried with a real Loader."""

from __future__ import annotations

import time

import numpy as np

from fastfeed.doctor.finding import Finding, Status
from fastfeed.loader import Loader

WORKERS = 2
BATCHES = 8


class Numbered:
    """Batches that hold their own number."""

    def __len__(self) -> int:
        return BATCHES

    def __getitem__(self, index: int) -> np.ndarray:
        return np.full((2, 3), index, np.int64)


def look() -> Finding:
    """Start the fork server and two workers, and take an epoch."""
    try:
        seconds = fed(use_multiprocessing=True)
    except Exception as error:  # whatever it is: it is what was asked for
        return _failed(error)
    return Finding(
        "workers", Status.OK,
        f"fork server and {WORKERS} workers started, first batch after {seconds:.2f} s",
        {"start_method": "fork server", "workers": WORKERS, "first_batch_s": round(seconds, 3)},
    )  # fmt: skip


def fed(use_multiprocessing: bool) -> float:
    """Take an epoch and return the seconds until its first batch.

    Raises
    ------
    Exception
        Anything that a Loader raises, and ValueError where other batches arrive.
    """
    begin = time.perf_counter()
    taken = []
    loader = Loader(Numbered(), workers=WORKERS, use_multiprocessing=use_multiprocessing)
    with loader:
        for batch in loader:
            taken.append((int(batch[0, 0]), time.perf_counter() - begin))
    numbers = [number for number, _ in taken]
    if numbers != list(range(BATCHES)):
        raise ValueError(f"batches {numbers} arrived, not 0 to {BATCHES - 1}")
    return taken[0][1]


def _failed(error: Exception) -> Finding:
    """Say that worker processes do not work, and whether threads do."""
    try:
        fed(use_multiprocessing=False)
    except Exception:
        threads = False
    else:
        threads = True
    also = "; threads work" if threads else "; so did one with threads"
    meanwhile = " Until then use Loader(..., use_multiprocessing=False)." if threads else ""
    text = f"{type(error).__name__}: {error}"
    return Finding(
        "workers", Status.PROBLEM, f"a Loader with {WORKERS} worker processes failed{also}",
        {"error": text, "threads_work": threads}, text,
        f"See to what is reported above, if anything is.{meanwhile}",
    )  # fmt: skip
