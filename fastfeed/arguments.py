"""The plain arguments of `Loader`, numbers and texts: checked, and as Python's own."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

from fastfeed import _core
from fastfeed.autotune.options import Tuning
from fastfeed.engine import MOST_AHEAD
from fastfeed.errors import ArgumentError


def numbers(workers: Any, max_queue_size: Any, tuning: Tuning) -> tuple[int | None, Any]:
    """Return the workers to plan with (None: as many as is usual) and the batches ahead.

    Raises
    ------
    ArgumentError
        If a number that is not tuned is none, or out of range.
    """
    if tuning.workers:
        workers = tuning.cores  # of a source that is divided among them, once
    if workers is not None:
        workers = integer("workers", workers, 0, _core.MAX_WORKERS)
    if not tuning.ahead:
        max_queue_size = integer("max_queue_size", max_queue_size, 1, MOST_AHEAD)
    return workers, max_queue_size


def integer(name: str, value: Any, least: int, most: int) -> int:
    """Return a number as Python's own int: NumPy's would overflow where seeds are mixed.

    Raises
    ------
    ArgumentError
        If it is none, or out of range.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__") or not least <= value <= most:
        raise ArgumentError(
            f"{name} must be an integer from {least} to {most}.", f"{name}={value!r}"
        )
    return operator.index(value)


def environment(value: Any) -> dict[str, str]:
    """Return `worker_env` as a dict.

    Raises
    ------
    ArgumentError
        If it holds what no environment can, of which workers would die before their first batch.
    """
    value = {} if value is None else value
    if not isinstance(value, Mapping) or not all(
        isinstance(text, str) for pair in value.items() for text in pair
    ):
        raise ArgumentError(
            "worker_env maps names to texts, as os.environ does: "
            'worker_env={"OMP_NUM_THREADS": "2"}.',
            f"worker_env={value!r}",
        )
    return dict(value)
