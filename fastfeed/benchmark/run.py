"""A whole run: every work, or every kind of accelerator, one after the other."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from fastfeed.benchmark.accelerators import ACCELERATORS
from fastfeed.benchmark.contest import Contest
from fastfeed.benchmark.emulate import Feeder, require_room
from fastfeed.benchmark.examine import Look, SourceFailed, look
from fastfeed.benchmark.loaders import LoaderKind
from fastfeed.benchmark.process import LaneEnded, LaneError, LaneProcess, OutOfTime
from fastfeed.benchmark.results import Emulation, Report, Table
from fastfeed.benchmark.settings import Deadline, Progress, Settings
from fastfeed.benchmark.task import WorkSpec
from fastfeed.benchmark.works import WORKS
from fastfeed.errors import ArgumentError

PATIENCE = 30.0
"""Seconds for the first batches of a user's source, its imports included."""


def measure(
    names: Sequence[str],
    kinds: Sequence[LoaderKind],
    settings: Settings,
    report: Report,
    progress: Progress,
) -> None:
    """Measure works and accelerators; the time that is left is shared alike by those to come.

    Parameters
    ----------
    names : sequence of str
        Of works, of accelerators, and MODULE:SOURCE.
    kinds : sequence of LoaderKind
    settings : Settings
    report : Report
        Gets what is found, as soon as it is.
    progress : Progress

    Raises
    ------
    ArgumentError, SourceFailed
        If a user's source is none, or fails.
    OutOfTime
        If it gives nothing in time.
    """
    deadline = Deadline(settings.seconds)
    for name in set(names) & ACCELERATORS.keys():
        require_room(ACCELERATORS[name], name, settings)
    looks = {name: examined(name, settings, progress) for name in names}
    for number, name in enumerate(names):
        spec = WorkSpec(name, settings.batch_size, settings.scale)
        share = Deadline(max(0.0, deadline.left()) / (len(names) - number))
        if name in ACCELERATORS:
            emulation = begun_emulation(name, settings.scale)
            report.emulations.append(emulation)
            Feeder(spec, looks[name], kinds, settings, emulation, share, progress).run()
            progress.finished(emulation)
        else:
            table = begun_table(spec, looks[name])
            report.tables.append(table)
            Contest(spec, looks[name], kinds, settings, table, share, progress).run()
            progress.finished(table)


def examined(name: str, settings: Settings, progress: Progress) -> Look:
    """Look at the batches of a work; the user's own code runs in a process of its own."""
    spec = WorkSpec(name, settings.batch_size, settings.scale)
    progress.now(f"a first look at {name}")
    if not spec.is_own:
        return look(spec, no_source)
    patience = min(PATIENCE, settings.seconds)
    with LaneProcess("look", json.dumps(asdict(spec)), {}) as process:
        try:
            return Look.of(process.answer(patience))
        except OutOfTime:
            raise OutOfTime(
                f"{name} gave no batches within {patience:.0f} s. See that its first items come "
                "quickly, or try it with a smaller part of the data."
            ) from None
        except LaneEnded as error:
            raise SourceFailed(f"Asking {name} for batches: {error}.") from None
        except LaneError as error:
            raise SourceFailed(str(error)) from None


def no_source(name: str) -> object:
    """Stand where no MODULE:SOURCE is to be read."""
    raise ArgumentError("This is no work of the benchmark.", name)


def begun_table(spec: WorkSpec, seen: Look) -> Table:
    """Return a table without rows."""
    work = WORKS.get(spec.name)
    title = work.title.format(n=spec.batch_size or work.batch_size) if work else spec.name
    return Table(
        spec.name,
        f"{title} ({seen.layout})" if spec.is_own else title,
        seen.expected.nbytes[0],
        bool(seen.expected.checksums),
        make_seconds=seen.item_seconds,
        step_seconds=spec.step_seconds,
    )


def begun_emulation(name: str, scale: float) -> Emulation:
    """Return an emulation without rows."""
    one = ACCELERATORS[name]
    size = one.record_of(scale)
    return Emulation(name, one.batch_size, size, one.record_bytes, one.step_seconds, one.least_au)
