"""`Pass`: one loop over a loader."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from fastfeed.monitor import profilers


class Pass(Iterator[Any]):
    """One loop over a loader: one epoch. The loader does not refer to it, or it would take the
    garbage collector to close a loader that is dropped.

    Parameters
    ----------
    take : callable
        Returns the next batch for this pass, and keeps the loader.
    number : int
        Passes of this loader, with this one.
    """

    def __init__(self, take: Callable[[Pass], Any], number: int) -> None:
        self.number = number
        self._take: Callable[[Pass], Any] | None = take
        self._profilers = profilers.present()

    def __next__(self) -> Any:
        if self._take is None:
            raise StopIteration
        if self._profilers is not None and self._profilers.are_running():
            with self._profilers.range():
                return self._take(self)
        return self._take(self)

    def close(self) -> None:
        """Leave the loop: what is still being made will be dropped."""
        self._take = None

    @property
    def is_open(self) -> bool:
        """Tell whether the loop was not left by `close`."""
        return self._take is not None
