"""How long and with what is measured."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

from fastfeed.benchmark.results import Emulation, Table


class Progress(Protocol):
    """Is told what happens; the command line shows it."""

    def part(self, title: str, rounds: int) -> None:
        """Note that a part begins, of so many rounds at the most."""

    def now(self, what: str, rounds_done: int = 0) -> None:
        """Note what is being done, and that so many rounds more are done."""

    def finished(self, part: Table | Emulation) -> None:
        """Note that a part is over."""


@dataclass(frozen=True)
class Settings:
    """What is the same for all.

    Parameters
    ----------
    workers : int
        Worker processes or threads of every loader.
    queue : int
        Batches ahead.
    repeats : int
        Rounds of each loader with each work.
    seconds : float
        Budget for everything.
    batch_size : int, optional
        Default: each work's own.
    scale : float
        Of emulated accelerators' records.
    """

    workers: int
    queue: int
    repeats: int
    seconds: float
    batch_size: int | None = None
    scale: float = 1.0


class Deadline:
    """A point in time.

    Parameters
    ----------
    seconds : float
        From now.
    """

    def __init__(self, seconds: float):
        self._until = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds until then; negative after it."""
        return self._until - time.monotonic()
