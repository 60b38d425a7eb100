"""What tuning found, as data: for people, pictures and programs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastfeed.monitor.journal import RECORD, Records

Times = NDArray[np.float64]
VERSION = 1
"""Of the form of `TuneResult.to_json`."""


def _no_records() -> Records:
    return np.empty(0, RECORD)


class Ended(StrEnum):
    """How the tuning ended. Whatever it was, there is an answer from what was measured before."""

    DONE = "done"
    OUT_OF_TIME = "out of time"
    """The budget was used up before everything was measured that the answer needs."""
    INTERRUPTED = "interrupted"
    """Ctrl-C."""
    FAILED = "failed"
    """The source or the step raised an exception."""


@dataclass(frozen=True)
class Interval:
    """A mean and where it may lie, with a probability of 95 %.

    Parameters
    ----------
    mean : float
    low, high : float
        Infinitely far away where too little was measured to tell.
    """

    mean: float
    low: float
    high: float

    def overlaps(self, other: Interval) -> bool:
        """Return whether both may be the same."""
        return self.low <= other.high and other.low <= self.high


@dataclass(frozen=True)
class StepTimes:
    """The training step alone, with the same batch again and again.

    Parameters
    ----------
    seconds : array of float, shape (steps,)
        Each step, in their order, without the first ones.
    median, p95 : float
        Of them, in seconds. The median is Tc.
    how : {"step", "sleep"}
        A function of the user's, or a sleep of the length that was given.
    """

    seconds: Times
    median: float
    p95: float
    how: str


@dataclass(frozen=True)
class Point:
    """What so many workers make, when nobody keeps them waiting.

    Parameters
    ----------
    workers : int
        Of one training process; 0: the calling thread.
    make_seconds : array of float, shape (batches,)
        s_i: from a worker's claim to its publication, of up to some thousand batches, in the order
        in which they were made.
    batches_per_second : Interval
        X(W). With several ranks: of one of them.
    batches : int
        Counted in the window that X(W) is of; batches before it, while workers start, are not.
    seconds : float
        Length of that window.
    bytes_per_batch : float
        Mean bytes of a batch's arrays.
    cpu_ratio : float
        Share of the usable cores that was busy in the window, by whomever; not a number where
        the kernel does not say.
    memory_bytes : int
        That batches took up at the most, in slots and in the workers.
    first_batch_seconds : float
        From making the loader to its first batch.
    """

    workers: int
    make_seconds: Times
    batches_per_second: Interval
    batches: int
    seconds: float
    bytes_per_batch: float
    cpu_ratio: float
    memory_bytes: int
    first_batch_seconds: float

    @property
    def make_mean_seconds(self) -> float:
        """S(W): mean time to make a batch, in seconds."""
        return float(self.make_seconds.mean())

    @property
    def bytes_per_second(self) -> float:
        """Bytes of arrays a second."""
        return self.bytes_per_batch * self.batches_per_second.mean


@dataclass(frozen=True)
class Block:
    """Some steps of the real training loop: a loader and the step, one after the other.

    Parameters
    ----------
    workers, ahead : int
        The loader's `workers` and `max_queue_size`.
    round : int
        Blocks of the same round ran one after the other: compare them with each other.
    batches : int
        Steps.
    seconds : float
        Length of the block.
    stall : float
        wait / (wait + step), from 0 to 1.
    """

    workers: int
    ahead: int
    round: int
    batches: int
    seconds: float
    stall: float

    @property
    def seconds_per_batch(self) -> float:
        """Wait and step together."""
        return self.seconds / self.batches


@dataclass(frozen=True)
class TuneResult:
    """How many workers and how long a queue, and everything that says why.

    Parameters
    ----------
    source : str
        What was tuned: ``MODULE:SOURCE``, or the source's type.
    workers, max_queue_size : int
        The answer: give them to `Loader` or `fit_generator`. With several ranks: to each.
    bound : str
        What the queue's length comes from: ``"batch times"``, ``"workers"``, ``"memory"``, or
        ``"default"`` where no batch was measured.
    verdict : str
        One line: what is to be expected, and why it is not better.
    ended : Ended
        Whether all of it was measured.
    error : str
        Why not, in a sentence; empty if it was.
    step : StepTimes or None
        The consumer alone. None: none was given; or nothing of it measured.
    points : tuple of Point
        The producer alone, in the order in which it was measured.
    blocks : tuple of Block
        Both together, alternating, in the order in which they ran.
    predicted_stall, measured_stall : float or None
        Of the answer, from 0 to 1. None: nothing to predict it from; not measured.
    step_seconds : float or None
        Tc that `max_queue_size` and the prediction are for: the median of `step`; without a step
        the time that a batch takes to come.
    needed_workers : int or None
        How many would keep the step fed, by the measured times; more than `workers` where the
        source, the cores or the budget give no more. None: without a step.
    slot_bytes : int
        Bytes of shared memory that one batch takes; 0: not known.
    timeline : structured array, shape (batches,)
        Records of the last seconds of both together with the answer's number of workers, as
        `fastfeed.monitor.journal.RECORD` describes them; empty without.
    warnings : tuple of str
        What to know before trusting it; a sentence each.
    budget_seconds, seconds : float
        Time that was allowed, and that was used.
    memory_bytes : int
        Memory that slots were allowed to have.
    ranks : int
        Training processes that share the machine.
    batch_size : int or None
        Samples a batch; None: the source makes batches.
    threads : bool
        Workers were threads.
    one_stream : bool
        The source cannot be divided, so that one worker is the most that it can use.
    machine, versions : mapping
        Where it was measured, and with what.
    started : str
        When, in ISO 8601 with the time zone.
    """

    source: str
    workers: int
    max_queue_size: int
    bound: str
    verdict: str
    ended: Ended = Ended.DONE
    error: str = ""
    step: StepTimes | None = None
    points: tuple[Point, ...] = ()
    blocks: tuple[Block, ...] = ()
    predicted_stall: float | None = None
    measured_stall: float | None = None
    step_seconds: float | None = None
    needed_workers: int | None = None
    slot_bytes: int = 0
    timeline: Records = field(default_factory=_no_records)
    warnings: tuple[str, ...] = ()
    budget_seconds: float = 0.0
    seconds: float = 0.0
    memory_bytes: int = 0
    ranks: int = 1
    batch_size: int | None = None
    threads: bool = False
    one_stream: bool = False
    machine: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    started: str = ""

    @property
    def point(self) -> Point | None:
        """What was measured with the answer's number of workers, or the next larger one."""
        by_workers = sorted(self.points, key=lambda point: point.workers)
        enough = [point for point in by_workers if point.workers >= self.workers]
        return next(iter(enough or by_workers[-1:]), None)

    @property
    def arguments(self) -> str:
        """The line to paste: ``workers=4, max_queue_size=12``."""
        threads = ", use_multiprocessing=False" if self.threads and self.workers else ""
        return f"workers={self.workers}, max_queue_size={self.max_queue_size}{threads}"

    def to_json(self) -> str:
        """Return everything as JSON; numbers that are not finite become null."""
        found = {"version": VERSION} | {
            each.name: _plain(getattr(self, each.name)) for each in dataclasses.fields(self)
        }
        return json.dumps(found, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> TuneResult:
        """Return what `to_json` was called on.

        Raises
        ------
        ValueError
            The text is no JSON of this form.
        """
        found = json.loads(text)
        if not isinstance(found, dict) or found.pop("version", None) != VERSION:
            raise ValueError(f"This is no result of fastfeed tune of version {VERSION}.")
        found["ended"] = Ended(found["ended"])
        found["step"] = found["step"] and _step(found["step"])
        found["points"] = tuple(map(_point, found["points"]))
        found["blocks"] = tuple(Block(**block) for block in found["blocks"])
        found["timeline"] = _records(found["timeline"])
        found["warnings"] = tuple(found["warnings"])
        return cls(**found)


def _plain(value: Any) -> Any:
    """Return it as what JSON knows."""
    if isinstance(value, np.ndarray) and value.dtype.names is not None:
        columns = {name: value[name].tolist() for name in value.dtype.names}
        return {"dtype": [list(part) for part in value.dtype.descr if part[0]], "columns": columns}
    if isinstance(value, np.ndarray):
        return value.tolist()
    if dataclasses.is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in dataclasses.fields(value)}
    if isinstance(value, (tuple, list)):
        return [_plain(part) for part in value]
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _step(found: dict[str, Any]) -> StepTimes:
    return StepTimes(**found | {"seconds": np.asarray(found["seconds"], float)})


def _point(found: dict[str, Any]) -> Point:
    rate = found["batches_per_second"]
    infinite = {"mean": np.nan, "low": -np.inf, "high": np.inf}
    known = {name: value for name, value in rate.items() if value is not None}
    cpu_ratio = np.nan if found["cpu_ratio"] is None else found["cpu_ratio"]
    return Point(
        **found
        | {
            "make_seconds": np.asarray(found["make_seconds"], float),
            "batches_per_second": Interval(**infinite | known),
            "cpu_ratio": cpu_ratio,
        }
    )


def _records(found: dict[str, Any]) -> Records:
    columns = found["columns"]
    records = np.empty(
        len(next(iter(columns.values()), [])), [tuple(part) for part in found["dtype"]]
    )
    for name, values in columns.items():
        records[name] = values
    return records
