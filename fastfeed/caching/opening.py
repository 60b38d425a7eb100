"""Makes the cache that the user has asked for."""

from __future__ import annotations

import operator

from fastfeed.caching.base import Cache
from fastfeed.caching.disk import DiskCache
from fastfeed.caching.memory import MemoryCache
from fastfeed.errors import ArgumentError

DISK = "disk:"


def open_cache(option: str, budget: int | None, n_items: int, fingerprint: str) -> Cache:
    """Make or open a cache for `n_items` samples.

    Parameters
    ----------
    option : str
        ``"memory"`` or ``"disk:FOLDER"``.
    budget : int, optional
        Bytes that it may take.
    fingerprint : str
        Of the source: a cache on disk that was made of another is refused.

    Raises
    ------
    ArgumentError
        If it is neither of the two, or the budget is no number of bytes or too small.
    CacheError
        On disk: if the folder cannot be used, or holds another source's cache.
    OutOfMemory
        If the budget is more than may be used.
    """
    is_number = hasattr(budget, "__index__") and not isinstance(budget, bool)
    if budget is not None and not (is_number and budget >= 1):
        raise ArgumentError(
            "cache_budget is the number of bytes that the cache may take, at least 1.",
            f"cache_budget={budget!r}",
        )
    most = None if budget is None else operator.index(budget)
    if option == "memory":
        return MemoryCache(n_items, most)
    if isinstance(option, str) and option.startswith(DISK) and option != DISK:
        return DiskCache(option.removeprefix(DISK), n_items, fingerprint, most)
    raise ArgumentError(
        'cache is "memory" (shared by all workers, gone with the loader) or "disk:FOLDER" (a '
        "folder for this source alone, kept for the next run).",
        f"cache={option!r}",
    )
