"""What a part writes down, at once, so that a part that is ended keeps what it had until then.

One line of JSON for each figure. A figure is measured once a round, and round n of everybody in a
group took place at about the same time, so a ratio is formed round by round.
"""

from __future__ import annotations

import json
import statistics
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Entry:
    """A figure, or why there is none.

    Parameters
    ----------
    group : str
        What was done; entries of one group are compared.
    name : str
        By whom.
    unit : str
    rounds : list of float
        The figure, each time that it was measured.
    extra : dict
        What else is to be known about it.
    failure : str
        The traceback, if it could not be measured.
    """

    group: str
    name: str
    unit: str = ""
    rounds: list[float] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)
    failure: str = ""

    @property
    def median(self) -> float:
        """The figure."""
        return statistics.median(self.rounds)


@dataclass(frozen=True)
class Ratio:
    """A ratio of two figures, formed in each round; its median, lowest and highest."""

    median: float
    lowest: float
    highest: float


Entries = dict[tuple[str, str], Entry]


class NotMeasuredError(Exception):
    """A figure that is asked for was not measured in this run."""


class Record:
    """A part's file.

    Parameters
    ----------
    path : path
        Appended to.
    """

    def __init__(self, path: Path):
        self._path = path

    def __call__(
        self, group: str, name: str, unit: str, rounds: Sequence[float], **extra: Any
    ) -> None:
        """Write a figure down. The last one of a group and name is the one that counts."""
        self._append(Entry(group, name, unit, [float(value) for value in rounds], extra))

    @contextmanager
    def attempt(self, group: str, name: str) -> Iterator[None]:
        """Write down what is raised inside, and go on."""
        try:
            yield
        except Exception:
            self.failed(group, name, traceback.format_exc())

    def failed(self, group: str, name: str, why: str) -> None:
        """Write down that there is no figure."""
        self._append(Entry(group, name, failure=why))

    def _append(self, entry: Entry) -> None:
        with self._path.open("a") as file:
            file.write(json.dumps(asdict(entry)) + "\n")


def read(path: Path) -> list[Entry]:
    """Return what a part has written so far; half a line at the end counts for nothing."""
    entries = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            entries.append(Entry(**json.loads(line)))
        except ValueError:
            break
    return entries


def find(entries: Entries, group: str, name: str) -> Entry:
    """Return an entry.

    Raises
    ------
    NotMeasuredError
        It is not there, or it failed.
    """
    entry = entries.get((group, name))
    if entry is None or not entry.rounds:
        raise NotMeasuredError(f"{name} ({group})")
    return entry


def ratio(of: Entry, to: Entry) -> Ratio:
    """Return how many times `to` the figure `of` is."""
    each = [one / other for one, other in zip(of.rounds, to.rounds, strict=False)]
    return Ratio(statistics.median(each), min(each), max(each))
