"""What is to be reached on a GPU, computed from what was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from bench.gpu.names import (
    ALLOCATED,
    CACHED,
    CALLS,
    CUPTI,
    NEXT,
    REGISTERED,
    TRAINED_FILL,
    TRAINED_TORCH,
    TRAINED_TRANSFORMED,
    TRAINING,
    WITH,
    WITHOUT,
    batches_of,
    busy,
    copies_of,
    traced_by,
)
from bench.gpu.record import Entries, Entry, NotMeasuredError, Ratio, find, ratio
from bench.gpu.rivals import CUPY_REGISTERED, FASTFEED, FILL, ITEM, STREAM, TORCH

NEXT_MICROSECONDS = 10


@dataclass(frozen=True)
class Bar:
    """One line of the table.

    Parameters
    ----------
    work : str
        What is done.
    claim : str
        What it is compared with, or what it means.
    sign : {">=", "<", "<=", ""}
        How the figure is to compare with `bound`; "": it stands there for comparison only.
    bound : float
    unit : str
        Behind both numbers.
    figure : callable
        Computes it from the entries; raises NotMeasuredError.
    """

    work: str
    claim: str
    sign: str
    bound: float
    unit: str
    figure: Callable[[Entries], Ratio]

    def met(self, figure: Ratio) -> bool | None:
        """Whether the median reaches the bar; None if there is no bar."""
        return {
            ">=": figure.median >= self.bound,
            "<": figure.median < self.bound,
            "<=": figure.median <= self.bound,
        }.get(self.sign)


def bars(workers: int) -> list[Bar]:
    """Return the table for a run whose loaders had so many workers."""
    small = batches_of("uint8", workers)
    return [
        Bar("H2D from slots that another process wrote, 19.3 MB", "cuMemHostAlloc, same card",
            ">=", 0.95, "x", rates(copies_of("19.3 MB"), REGISTERED, ALLOCATED)),
        Bar("host copies after the worker's write", "of all uploads in the rounds (counter)",
            "<=", 0, "copies", host_copies(workers)),
        Bar(f"copy-bound, 4.8 MB uint8, {workers} workers, __getitem__", TORCH.name,
            ">=", 3, "x", rates(small, ITEM.name, TORCH.name)),
        Bar(f"copy-bound, 4.8 MB uint8, {workers} workers, fill", TORCH.name,
            ">=", 3, "x", rates(small, FILL.name, TORCH.name)),
        Bar("training thread busy in Python, half a batch's time", "without that work",
            ">=", 0.95, "x", with_work(STREAM.name)),
        Bar(f"the same, {CUPY_REGISTERED.name}", "without that work",
            "", 0, "x", with_work(CUPY_REGISTERED.name)),
        Bar("ResNet-50, AU", "the same loop on one batch on the device",
            ">=", 0.98, "", utilisation(TRAINED_FILL)),
        Bar("ResNet-50, AU, with device_transform", "the same loop on one batch on the device",
            "", 0, "", utilisation(TRAINED_TRANSFORMED)),
        Bar(f"ResNet-50, AU, {TRAINED_TORCH}", "the same loop on one batch on the device",
            "", 0, "", utilisation(TRAINED_TORCH)),
        *(Bar(f"next(), batch ready, {framework}", "median", "<", NEXT_MICROSECONDS, "us",
              median_of(framework))
          for framework in ("torch", "cupy")),
        *(Bar(f"host synchronisations in next(), {framework}", "driver calls, by CUPTI",
              "<=", 0, "calls", synchronisations(framework)) for framework in ("torch", "cupy")),
    ]  # fmt: skip


def spread(entry: Entry) -> Ratio:
    """Return an entry's median, lowest and highest."""
    return Ratio(entry.median, min(entry.rounds), max(entry.rounds))


def rates(group: str, of: str, to: str) -> Callable[[Entries], Ratio]:
    """Return a function that compares two rates of a group."""
    return lambda entries: ratio(find(entries, group, of), find(entries, group, to))


def with_work(name: str) -> Callable[[Entries], Ratio]:
    """Return a function that compares a contestant's rate with work with that without."""
    return lambda entries: ratio(
        find(entries, busy(WITH), name), find(entries, busy(WITHOUT), name)
    )


def utilisation(name: str) -> Callable[[Entries], Ratio]:
    """Return a function that computes AU: a cached step's time over a step's."""
    return rates(TRAINING, CACHED, name)


def median_of(framework: str) -> Callable[[Entries], Ratio]:
    """Return a function that reads the time of ``next()``."""
    return lambda entries: spread(find(entries, NEXT, framework))


def synchronisations(framework: str) -> Callable[[Entries], Ratio]:
    """Return a function that reads how many calls made the host wait."""
    return lambda entries: spread(find(entries, CALLS, traced_by(framework, CUPTI)))


def host_copies(workers: int) -> Callable[[Entries], Ratio]:
    """Return a function that reads the counter of all of fastfeed's contestants."""

    def read(entries: Entries) -> Ratio:
        abouts = [about for about in _abouts(entries, workers) if counted(about, "uploads")]
        if not abouts:
            raise NotMeasuredError("no contestant of fastfeed's counted an upload")
        counts = [counted(about, "host_copies") for about in abouts]
        return Ratio(max(counts), min(counts), max(counts))  # one copy of one would be too many

    return read


def counted(about: dict[str, Any], counter: str) -> float:
    """Return by how much a counter went up during the rounds."""
    return float(about.get(counter, 0) - about.get(f"{counter}_before", 0))


def _abouts(entries: Entries, workers: int) -> Iterable[dict[str, Any]]:
    names = {contestant.name for contestant in FASTFEED}
    groups = {batches_of(work, workers) for work in ("uint8", "float32")}
    return [e.extra for (group, name), e in entries.items() if group in groups and name in names]
