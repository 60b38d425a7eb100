"""What the user lets live tuning do."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from fastfeed.errors import ArgumentError
from fastfeed.machine.limits import default_memory_bytes, usable_cores

MOST_WORKERS = 32
"""As long as there are not more cores: sources that wait for a disk or a network have use for more
workers than there are cores."""
MOST_AHEAD = 64
"""Where there are no more workers than that is for."""
FIRST_AHEAD = 10
"""As without tuning, until the first batches have shown how long they take."""


@dataclass(frozen=True)
class Elastic:
    """What is tuned, and within which bounds.

    Attributes
    ----------
    tunes_workers, tunes_ahead : bool
    cores : float
        That the workers may use.
    workers, ahead : int
        To begin with.
    most_workers, most_ahead : int
        That the ring is made for.
    memory_bytes : int or None
        That the slots for batches ahead may take; None: their number is fixed.
    note : str
        Why the number of workers cannot change, although that was asked for.
    """

    tunes_workers: bool
    tunes_ahead: bool
    cores: float
    workers: int
    ahead: int
    most_workers: int
    most_ahead: int
    memory_bytes: int | None = None
    note: str = ""


@dataclass(frozen=True)
class Tuning:
    """What the user wants to be tuned.

    Attributes
    ----------
    workers, ahead : bool
        Tune these.
    cpu_ceiling, memory_ceiling : float, int
        Cores that the workers may use; bytes that the slots for batches ahead may take.
    """

    workers: bool
    ahead: bool
    cpu_ceiling: float
    memory_ceiling: int

    @staticmethod
    def asked(workers: Any, ahead: Any, cpu_ceiling: Any, memory_ceiling: Any) -> Tuning:
        """Take over the arguments of a Loader; by default one core is left to the training.

        Raises
        ------
        ArgumentError
            A text is not "auto", a ceiling is no positive number, or nothing is tuned that it
            could bound.
        """
        tunes_workers, tunes_ahead = is_auto("workers", workers), is_auto("max_queue_size", ahead)
        refuse("cpu_ceiling", cpu_ceiling, Real, 'workers="auto"', tunes_workers)
        refuse("memory_ceiling", memory_ceiling, Integral, 'max_queue_size="auto"', tunes_ahead)
        return Tuning(
            tunes_workers,
            tunes_ahead,
            max(1.0, usable_cores() - 1) if cpu_ceiling is None else float(cpu_ceiling),
            default_memory_bytes() if memory_ceiling is None else int(memory_ceiling),
        )

    @property
    def cores(self) -> int:
        """Workers where their number is chosen once."""
        return max(1, int(self.cpu_ceiling))

    def elastic(self, workers: int, ahead: Any, shards: int | None) -> Elastic | None:
        """Return the bounds for a loader; None: nothing is tuned, or nothing can be, because the
        calling thread makes the batches.

        Parameters
        ----------
        workers : int
            That the source would have if nothing was tuned.
        ahead : int
            What the user asked for, if that is not tuned.
        shards : int or None
            Streams that the source is divided into, one a worker: their number cannot change.
        """
        if not workers or not (self.workers or self.ahead):
            return None
        tunes_workers = self.workers and shards is None
        first = 1 if tunes_workers else workers
        most = max(MOST_WORKERS, 2 * self.cores) if tunes_workers else workers
        return Elastic(
            tunes_workers=tunes_workers,
            tunes_ahead=self.ahead,
            cores=self.cpu_ceiling,
            workers=first,
            ahead=max(FIRST_AHEAD, first + 2) if self.ahead else ahead,
            most_workers=most,
            most_ahead=max(MOST_AHEAD, 2 * most) if self.ahead else ahead,
            memory_bytes=self.memory_ceiling if self.ahead else None,
            note=fixed(shards) if self.workers and shards is not None else "",
        )


def is_auto(name: str, value: Any) -> bool:
    """Tell whether a number is to be chosen for the user.

    Raises
    ------
    ArgumentError
        It is another text.
    """
    if isinstance(value, str) and value != "auto":
        raise ArgumentError(f'{name} must be an integer or "auto".', f"{name}={value!r}")
    return isinstance(value, str)


def refuse(name: str, value: Any, kind: type, bounded: str, tunes: bool) -> None:
    """Raise ArgumentError if a ceiling makes no sense; None is none."""
    if value is None:
        return
    number = isinstance(value, kind) and not isinstance(value, bool)
    if not number or not 0 < value < math.inf:
        what = "number of cores" if kind is Real else "whole number of bytes"
        raise ArgumentError(f"{name} must be a {what}, above 0.", f"{name}={value!r}")
    if not tunes:
        raise ArgumentError(
            f"{name} bounds what {bounded} chooses, and that was not asked for.",
            f"{name}={value!r}",
        )


def fixed(shards: int) -> str:
    """Return why there are so many workers, whatever is measured."""
    if shards == 1:
        return "this source gives its items one after the other, so one worker makes them all"
    return (
        f"each of the {shards} workers runs its own shard of the generator, so their number, that "
        "of the cores they may use, cannot change while it runs"
    )
