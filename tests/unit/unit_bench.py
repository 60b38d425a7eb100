"""What the tests of ``fastfeed bench`` share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastfeed.benchmark.checks import Expected, checksum, leaves


def expected_of(batches: Iterable[Any], contents: bool = True) -> Expected:
    """What a loader must deliver for these batches."""
    found = [leaves(batch) for batch in batches]
    nbytes = tuple(sum(array.nbytes for array in arrays) for arrays in found)
    return Expected(nbytes, tuple(map(checksum, found)) if contents else ())
