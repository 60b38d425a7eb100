"""Caches of both kinds, and sources that count how often they make a sample."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fastfeed.caching.base import Cache
from fastfeed.caching.opening import open_cache

BUDGET = 4 << 20
KINDS = ["memory", "disk"]


def new_cache(
    kind: str, folder: Path, n_items: int = 100, budget: int | None = BUDGET, of: str = "data"
) -> Cache:
    """A cache of a kind; a folder that is there is opened."""
    return open_cache("memory" if kind == "memory" else f"disk:{folder}", budget, n_items, of)


def reopened(cache: Cache, kind: str, folder: Path, **options: Any) -> Cache:
    """The same samples, as the next run, or a second one, sees them."""
    if kind == "memory":
        return cache
    cache.close()
    return new_cache(kind, folder, **options)


class Counted:
    """Sample i is (an array that says i, i); counts how often each was made."""

    def __init__(self, length: int = 20, width: int = 6) -> None:
        self.width = width
        self.made = [0] * length

    def __len__(self) -> int:
        return len(self.made)

    def __getitem__(self, index: int) -> Any:
        self.made[index] += 1
        return np.full(self.width, index, np.float32), index
