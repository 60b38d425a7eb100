"""What was measured, as data."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import Any

MEASURED, WRONG, FAILED, LEFT_OUT, NO_TIME = "measured", "wrong", "failed", "left out", "no time"


@dataclass
class Row:
    """One loader with one work.

    Parameters
    ----------
    loader : str
    status : str
        ``MEASURED``, or why there is no figure.
    reason : str
        More about that.
    batches, taken : int
        Of a round: timed ones, and all.
    seconds : list of float
        A batch, of each round.
    cpu_seconds : list of float
        Of all processes a batch, of each round.
    peak_bytes : int
        Proportional set size of all processes together, at the highest.
    first_batch_seconds : list of float
        From opening the loader to its first batch.
    """

    loader: str
    status: str = MEASURED
    reason: str = ""
    batches: int = 0
    taken: int = 0
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    peak_bytes: int = 0
    first_batch_seconds: list[float] = field(default_factory=list)

    @property
    def rates(self) -> list[float]:
        """Batches a second, of each round."""
        return [1 / seconds for seconds in self.seconds]

    @property
    def rate(self) -> float:
        """The median of `rates`; 0 without any."""
        return statistics.median(self.rates) if self.seconds else 0.0

    @property
    def cpu(self) -> float:
        """CPU seconds a batch, the median."""
        return statistics.median(self.cpu_seconds) if self.cpu_seconds else 0.0

    @property
    def first(self) -> float:
        """Seconds to the first batch, the median."""
        return statistics.median(self.first_batch_seconds) if self.first_batch_seconds else 0.0


@dataclass
class Table:
    """All loaders with one work.

    Parameters
    ----------
    work : str
        Its name.
    title : str
    batch_bytes : int
        Of its first batch.
    compared : bool
        Whether the contents of batches were compared, not their number and bytes alone.
    copy_bytes_per_second : float
        How fast this machine copies into shared memory: the limit of who copies once. 0: not known.
    make_seconds : float
        That one process takes to make a batch, about.
    step_seconds : float
        That the consumer takes for a batch.
    rows : list of Row
    """

    work: str
    title: str
    batch_bytes: int
    compared: bool
    make_seconds: float = 0.0
    copy_bytes_per_second: float = 0.0
    step_seconds: float = 0.0
    rows: list[Row] = field(default_factory=list)

    def of_limit(self, row: Row) -> float | None:
        """Return the bytes a second of a row over the copy limit; None if that is not known."""
        if not self.copy_bytes_per_second:
            return None
        return row.rate * self.batch_bytes / self.copy_bytes_per_second

    def ranked(self) -> list[Row]:
        """Return the rows, the fastest first, those without a figure last."""
        return sorted(self.rows, key=lambda row: -row.rate)


@dataclass
class Feeding:
    """One loader and so many emulated accelerators.

    Parameters
    ----------
    accelerators : int
    utilization : list of float
        AU from 0 to 1, the mean of the accelerators, of each round.
    """

    accelerators: int
    utilization: list[float]


@dataclass
class FedRow:
    """How many emulated accelerators a loader keeps fed.

    Parameters
    ----------
    loader : str
    status, reason : str
        As in `Row`.
    tried : list of Feeding
        In the order of their numbers.
    fed : int
        The most that reached the least AU; 0: not even one.
    """

    loader: str
    status: str = MEASURED
    reason: str = ""
    tried: list[Feeding] = field(default_factory=list)
    fed: int = 0


@dataclass
class Emulation:
    """All loaders and one kind of accelerator.

    Parameters
    ----------
    accelerator : str
        Its name.
    batch_size, record_bytes : int
        Of what was loaded.
    full_record_bytes : int
        Of MLPerf Storage.
    step_seconds, least_au : float
    rows : list of FedRow
    """

    accelerator: str
    batch_size: int
    record_bytes: int
    full_record_bytes: int
    step_seconds: float
    least_au: float
    rows: list[FedRow] = field(default_factory=list)


@dataclass
class Report:
    """Everything that one run of the command found.

    Parameters
    ----------
    machine : dict
        See `machine.describe`.
    settings : dict
        Workers, queue, repeats and the like.
    tables : list of Table
    emulations : list of Emulation
    interrupted : bool
        Ctrl-C ended it.
    """

    machine: dict[str, Any]
    settings: dict[str, Any]
    tables: list[Table] = field(default_factory=list)
    emulations: list[Emulation] = field(default_factory=list)
    interrupted: bool = False

    @property
    def is_sound(self) -> bool:
        """Whether every loader that is installed did what it was asked for."""
        statuses = [row.status for table in self.tables for row in table.rows]
        statuses += [row.status for emulation in self.emulations for row in emulation.rows]
        return not {WRONG, FAILED} & set(statuses)
