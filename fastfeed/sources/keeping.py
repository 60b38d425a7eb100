"""What sources with a cache have in common: its way to the workers, and its end."""

from __future__ import annotations

from fastfeed.caching.base import Cache, CacheUse
from fastfeed.sources.base import Source


class KeepingSource(Source):
    """A source that may have a cache."""

    cache: Cache | None = None

    def descriptors(self) -> list[int]:
        """Return what the cache is reached by."""
        return self.cache.descriptors() if self.cache else []

    def adopt(self, descriptors: list[int]) -> None:
        """Reach the cache."""
        if self.cache:
            self.cache.adopt(descriptors)

    def leave(self) -> None:
        """Let a worker's part of the cache write what it still has in hand."""
        if self.cache:
            self.cache.close()

    def close(self) -> None:
        """Close the cache."""
        if self.cache:
            self.cache.close()

    def cache_use(self) -> CacheUse | None:
        """Return how the cache is used."""
        return self.cache.use() if self.cache else None
