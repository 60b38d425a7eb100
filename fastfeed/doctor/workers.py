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


def workers() -> Finding:
    """Start the fork server and two workers, and take an epoch."""
    begin = time.perf_counter()
    seconds = 0.0
    try:
        with Loader(Numbered(), workers=WORKERS) as loader:
            for index, batch in enumerate(loader):
                seconds = seconds or time.perf_counter() - begin
                if not (batch == index).all():
                    raise ValueError(f"batch {index} arrived as {batch.tolist()}")
            taken = loader.stats().batches
        if taken != BATCHES:
            raise ValueError(f"{taken} of {BATCHES} batches arrived")
    except Exception as error:  # whatever it is: it is what was asked for
        return failure(error)
    return Finding(
        "workers", Status.OK,
        f"fork server and {WORKERS} workers started, first batch after {seconds:.2f} s",
        {"start_method": "fork server", "workers": WORKERS, "first_batch_s": round(seconds, 3)},
    )  # fmt: skip


def failure(error: Exception) -> Finding:
    """Say that a Loader with workers does not work."""
    text = f"{type(error).__name__}: {error}"
    return Finding(
        "workers", Status.PROBLEM, f"a Loader with {WORKERS} workers failed", {"error": text},
        text,
        "Cure what is reported above, if anything is. Loader(..., use_multiprocessing=False) "
        "feeds from threads meanwhile.",
    )  # fmt: skip
