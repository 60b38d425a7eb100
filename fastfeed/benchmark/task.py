"""What a process of the benchmark is told: JSON on its command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from fastfeed.benchmark import accelerators, own
from fastfeed.benchmark.checks import Expected
from fastfeed.benchmark.works import WORKS

Load = Callable[[str], Any]
"""Gives the object that MODULE:SOURCE names: ``fastfeed.cli.source.load_source``."""


@dataclass(frozen=True)
class WorkSpec:
    """What is loaded.

    Parameters
    ----------
    name : str
        Of a work, an accelerator, or MODULE:SOURCE.
    batch_size : int, optional
        Default: the work's own; with MODULE:SOURCE items are batches.
    scale : float
        Of the records of an accelerator.
    """

    name: str
    batch_size: int | None = None
    scale: float = 1.0

    @property
    def is_own(self) -> bool:
        """Whether it is the user's."""
        return ":" in self.name

    @property
    def step_seconds(self) -> float:
        """How long the consumer takes for a batch."""
        if self.name in accelerators.ACCELERATORS:
            return accelerators.ACCELERATORS[self.name].step_seconds
        return 0.0 if self.is_own else WORKS[self.name].step_seconds

    def source(self, load: Load) -> Callable[[int], Any]:
        """Return what makes a source of so many batches.

        Raises
        ------
        ArgumentError
            There is no source of this name.
        """
        if self.is_own:
            source = own.as_batches(load(self.name), self.batch_size, self.name)
            return lambda length: own.of_length(source, length)
        if self.name in accelerators.ACCELERATORS:
            accelerator = accelerators.ACCELERATORS[self.name]
            return lambda length: accelerator.records(self.scale, length)
        work = WORKS[self.name]
        return lambda length: work.make(self.batch_size or work.batch_size, length)


@dataclass(frozen=True)
class Task:
    """What one lane is to do.

    Parameters
    ----------
    loader : str
        The name of a `LoaderKind`.
    work : WorkSpec
    workers, queue : int
        As in `Setting`.
    item_seconds : float
        That a batch takes to be made, about.
    expected : Expected
    """

    loader: str
    work: WorkSpec
    workers: int
    queue: int
    item_seconds: float
    expected: Expected

    def dumps(self) -> str:
        """Return the task as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def loads(cls, text: str) -> Task:
        """Return the task that `dumps` wrote."""
        fields = json.loads(text)
        work, expected = WorkSpec(**fields.pop("work")), fields.pop("expected")
        return cls(
            work=work,
            expected=Expected(tuple(expected["nbytes"]), tuple(expected["checksums"])),
            **fields,
        )
