"""Ranges for NVIDIA's Nsight Systems, by the package ``nvtx``, in the domain "fastfeed".

``FASTFEED_NVTX=1`` switches them on: ``make`` in the workers, ``wait`` around ``next()``. Copies to
the GPU are not among them: Nsight Systems sees those by itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

VARIABLE = "FASTFEED_NVTX"
DOMAIN = "fastfeed"

P = ParamSpec("P")
R = TypeVar("R")


def are_on() -> bool:
    """Tell whether ranges are asked for."""
    return os.environ.get(VARIABLE, "0") not in ("", "0")


def nvtx_range(name: str) -> Any:
    """Return a range, as context manager and decorator; None where ranges are off."""
    if not are_on():
        return None
    try:
        import nvtx
    except ImportError:  # `present` in monitor/profilers.py says so, once
        return None
    return nvtx.annotate(name, domain=DOMAIN)


def in_range(name: str, function: Callable[P, R]) -> Callable[P, R]:
    """Return a function that runs in a range; where ranges are off, the function itself."""
    shown = nvtx_range(name)
    return function if shown is None else cast(Callable[P, R], shown(function))
