"""What the law knows, is told, and answers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray


class Rule(StrEnum):
    """Which rule of the law has spoken."""

    START = "start"
    OBEY = "ceiling"
    UNDO = "undo"
    GROW = "grow"
    LENGTHEN = "lengthen"
    SHRINK = "shrink"
    REVIEW = "review"
    NO_USE = "workers are of no use"
    REFUSED = "refused"
    SHORT = "there are no more workers"


@dataclass(frozen=True)
class Limits:
    """What the law may not go beyond.

    Attributes
    ----------
    workers : int
        Most workers.
    cores : float
        Most that the workers may use of the processors, in cores' time.
    ahead : int
        Most batches ahead.
    tunes_workers, tunes_ahead : bool
        What the law may change; the other one is what the user asked for.
    ordered : bool
        Batches come in order, so that slow ones keep others waiting.
    """

    workers: int
    cores: float
    ahead: int
    tunes_workers: bool = True
    tunes_ahead: bool = True
    ordered: bool = True


@dataclass(frozen=True)
class Window:
    """What a window of steps showed.

    Attributes
    ----------
    stall : float
        Waiting for batches that were not made yet, or not their turn, as a share of all time.
    wait_seconds : float
        Mean time that ``next()`` took, whatever the reason.
    make_seconds : float array, shape (batches,)
        How long each batch took its worker.
    recent_make_seconds : float array, shape (batches,)
        The same of these and earlier windows, some hundreds, for the slow ones among them.
    step_seconds : float
        Mean step of the consumer without waiting.
    busy : float
        Share of their time that the workers were making batches.
    host_cpu : float or None
        Share of the processors' time that anybody used; None: not known.
    worker_cores : float or None
        Cores' time that all workers used; None: not known.
    """

    stall: float
    wait_seconds: float
    make_seconds: NDArray[np.float64]
    recent_make_seconds: NDArray[np.float64]
    step_seconds: float
    busy: float
    host_cpu: float | None = None
    worker_cores: float | None = None


@dataclass(frozen=True)
class Trial:
    """A growth whose use is to be shown: where it started.

    Attributes
    ----------
    workers : int
    capacity : float
        Batches a second that so many could make.
    error : float
        Standard error of that, as a share of it.
    """

    workers: int
    capacity: float
    error: float


@dataclass(frozen=True)
class Bar:
    """A number of workers that is not to be crossed for a while."""

    workers: int
    until: int  # window


@dataclass(frozen=True)
class State:
    """What the law remembers from window to window.

    Attributes
    ----------
    workers, ahead : int
        As they are now.
    window : int
        Windows so far.
    settling : int
        Windows that are not to be looked at: they still show what was before a change.
    make_seconds, samples : float, int
        Mean time to make a batch with this many workers, and of how many batches.
    trial : Trial or None
    ceiling, floor : Bar or None
        More workers were of no use; fewer were too few.
    backoff : int
        Windows until the next growth beyond what was of no use is tried.
    shrunk_from : int
        Workers before the last time that there were too many.
    idle : tuple of int
        Workers that were enough, in the latest windows that had too many.
    short_queues : int
        Windows in a row in which batches came too late although workers were idle.
    ahead_due : int
        Window in which the look-ahead is computed again.
    shorter : tuple of int
        Look-aheads that were enough, in the latest computations that asked for less.
    said : frozenset of Rule
        Remarks about these workers: each is made once.
    """

    workers: int
    ahead: int
    window: int = 0
    settling: int = 1
    make_seconds: float = 0.0
    samples: int = 0
    trial: Trial | None = None
    ceiling: Bar | None = None
    floor: Bar | None = None
    backoff: int = 8
    shrunk_from: int = 0
    idle: tuple[int, ...] = ()
    short_queues: int = 0
    ahead_due: int = 0
    shorter: tuple[int, ...] = ()
    said: frozenset[Rule] = frozenset()


@dataclass(frozen=True)
class Change:
    """What the law wants, and why. A remark leaves both numbers as they are."""

    rule: Rule
    workers: int
    ahead: int
    reason: str
