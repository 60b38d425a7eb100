"""What is to be reached, as numbers that can be computed from the measured medians."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench import rivals
from bench.rivals import (
    FIT_ARRAYS,
    FIT_FASTFEED,
    FIT_FASTFEED_ARRAYS,
    FIT_PROCESSES,
    Contestant,
)

Entries = dict[tuple[str, str], dict[str, Any]]  # (group, contestant) -> pytest-benchmark's entry

FASTFEED = (rivals.FASTFEED_FILL, rivals.FASTFEED_ITEM)
IDEAL_STEP = 0.010  # seconds


class NotMeasuredError(Exception):
    """A figure that a bar needs was not measured in this run."""


@dataclass(frozen=True)
class Bar:
    """One line of the table.

    Parameters
    ----------
    work : str
        What is done.
    claim : str
        What is to hold.
    figure : callable
        Computes the measured figure from the entries.
    bound : float
    at_least : bool
        Whether the figure is to be at least or at most `bound`.
    unit : str
        Printed behind the figure.
    """

    work: str
    claim: str
    figure: Callable[[Entries], float]
    bound: float
    at_least: bool = True
    unit: str = "x"

    def met(self, figure: float) -> bool:
        """Whether `figure` reaches the bar."""
        return figure >= self.bound if self.at_least else figure <= self.bound


def median(entries: Entries, group: str, contestant: str) -> float:
    """Return the median seconds of one entry.

    Raises
    ------
    NotMeasuredError
        It is not there.
    """
    try:
        return float(entries[group, contestant]["stats"]["median"])
    except KeyError:
        raise NotMeasuredError(f"{contestant} ({group})") from None


def fastest(entries: Entries, group: str, contestants: tuple[Contestant, ...]) -> float:
    """Return the least median of those contestants that took part."""
    present = [one.name for one in contestants if (group, one.name) in entries]
    if not present:
        raise NotMeasuredError(f"{contestants[0].name} ({group})")
    return min(median(entries, group, name) for name in present)


def speedup(group: str, ours: tuple[Contestant, ...], theirs: tuple[Contestant, ...]) -> Callable:
    """Return a function that computes how many times `theirs`' rate `ours` is."""
    return lambda entries: fastest(entries, group, theirs) / fastest(entries, group, ours)


def only(group: str, key: str) -> Callable[[Entries], float]:
    """Return a function that reads an extra figure of the one entry of a group."""

    def read(entries: Entries) -> float:
        for (of_group, _), entry in entries.items():
            if of_group == group:
                return float(entry["stats"]["median"] if not key else entry["extra_info"][key])
        raise NotMeasuredError(group)

    return read


def boundary_ratio(group: str) -> Callable[[Entries], float]:
    """Return a function that computes p99 at boundaries over p99 elsewhere."""

    def read(entries: Entries) -> float:
        found = {
            entry["extra_info"]["wait"]: float(entry["stats"]["median"])
            for (of_group, _), entry in entries.items()
            if of_group == group
        }
        if len(found) != 2:
            raise NotMeasuredError(group)
        return found["boundary"] / found["other"]

    return read


def _copy_bound() -> list[Bar]:
    item = (rivals.FASTFEED_ITEM,)
    found = []
    for work, size in (("uint8", "4.8 MB"), ("float32", "19.3 MB")):
        for how, ours, limit in (
            ("fastfeed.copyto", rivals.FASTFEED_STREAM, rivals.LIMIT_STREAM),
            ("np.copyto", rivals.FASTFEED_FILL, rivals.LIMIT_NUMPY),
        ):
            figure = speedup(work, (ours,), (limit,))
            found.append(Bar(f"{size}, fill with {how}", "copy limit, same copy", figure, 0.85))
        for contestant, bound in (
            (rivals.TORCH, 10.0),
            (rivals.KERAS_PROCESSES, 15.0),
            (rivals.DALI, 4.0),
        ):
            figure = speedup(work, item, (contestant,))
            found.append(Bar(f"{size}, __getitem__", contestant.name, figure, bound))
    return found


def _photos() -> list[Bar]:
    maps = (rivals.TF_MAP, rivals.TF_MAP_OPENCV)
    rows = (
        ("plain loop", (rivals.PLAIN_LOOP,), 1.9),
        ("DALI external_source", (rivals.DALI,), 1.0),
        ("tf.data map (the faster of two)", maps, 1.0),
        ("torch DataLoader", (rivals.TORCH,), 1.0),
    )
    return [
        Bar("JPEG decode + augment, fill", name, speedup("photos", FASTFEED[:1], theirs), bound)
        for name, theirs, bound in rows
    ]


def _asleep(entries: Entries) -> float:
    return fastest(entries, "asleep", FASTFEED[:1]) / IDEAL_STEP


def ratio(group: str, one: str, other: str) -> Callable[[Entries], float]:
    """Return a function that computes the median of one contestant over that of another."""
    return lambda entries: median(entries, group, one) / median(entries, group, other)


def _fits(backend: str, most: float) -> list[Bar]:
    """Return what is to be reached in Keras's fit on a backend; `most`, of its time on arrays."""
    small, large = f"fit small, {backend}", f"fit uint8, {backend}"

    def cost(entries: Entries) -> float:
        group = f"fit data_wait, {backend}"
        return 1e6 * (median(entries, group, "with") - median(entries, group, "without"))

    on = f"Keras on {backend}"
    return [
        Bar(f"{on}, small model, arrays", f"time a step of {FIT_ARRAYS}",
            ratio(small, FIT_FASTFEED_ARRAYS, FIT_ARRAYS), most, False),
        Bar(f"{on}, small model, {FIT_FASTFEED}", f"time a step of {FIT_ARRAYS}",
            ratio(small, FIT_FASTFEED, FIT_ARRAYS), most, False),
        Bar(f"{on}, small model, data_wait", "without it", cost, 20.0, False, "us a step"),
        Bar(f"{on}, 4.8 MB, {FIT_FASTFEED}", FIT_PROCESSES,
            ratio(large, FIT_PROCESSES, FIT_FASTFEED), 5.0),
    ]  # fmt: skip


def _percent_idle(entries: Entries) -> float:
    return 100 * only("idle", "")(entries)


BARS = [
    *_copy_bound(),
    Bar(
        "32x16 float32, fill",
        "the best rival that uses processes",
        speedup("rows", FASTFEED[:1], rivals.WITH_PROCESSES),
        5.0,
    ),
    *_photos(),
    Bar("load 16 ms asleep, step 10 ms", "time a step over 10 ms", _asleep, 1.03, False),
    Bar("start in a TensorFlow script", "first batch after Loader()", only("start", ""), 0.5, False,
        "s"),
    Bar("start in a TensorFlow script", "PSS a worker, all in all",
        only("start", "pss_mb_per_worker"), 15.0, False, "MB"),
    Bar("epoch boundary, 4.8 MB, no step", "p99 over p99 within epochs",
        boundary_ratio("epoch uint8 0 ms"), 1.0, False),
    Bar("epoch boundary, 32x16, no step", "p99 over p99 within epochs",
        boundary_ratio("epoch rows 0 ms"), 1.0, False),
    Bar("epoch boundary, 4.8 MB, step 2 ms", "p99 over p99 within epochs",
        boundary_ratio("epoch uint8 2 ms"), 1.0, False),
    Bar("idle, queue full", "CPU of all processes", _percent_idle, 1.0, False, "% of a core"),
]  # fmt: skip

KERAS_BARS = [*_fits("tensorflow", 0.4), *_fits("torch", 0.8), *_fits("jax", 1.3)]
