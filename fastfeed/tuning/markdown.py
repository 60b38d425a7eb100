"""A result as Markdown: the answer, the line to paste, and tables of what was measured."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from fastfeed.errors import gib
from fastfeed.monitor.words import duration
from fastfeed.tuning.result import Ended, Interval, Point, TuneResult
from fastfeed.tuning.words import percent, rate

POINT = (
    "workers", "batches/s", "95 % interval", "MB/s", "CPU", "make: mean", "95 % within", "longest",
    "first batch",
)  # fmt: skip
BLOCK = ("round", "workers", "max_queue_size", "steps", "time a batch", "waiting")
UNKNOWN = "not known"


def markdown(result: TuneResult) -> str:
    """Return the text of ``tune.md``."""
    return "\n\n".join(_parts(result)) + "\n"


def _parts(result: TuneResult) -> Iterator[str]:
    yield f"# fastfeed tune {result.source}"
    yield result.verdict
    if result.ended != Ended.DONE:
        yield f"It ended early ({result.ended}). {result.error}"
    yield _to_paste(result)
    yield from (f"* {warning}" for warning in result.warnings)
    yield table(("", ""), _answer(result))
    if result.points:
        yield "## Workers alone"
        points = sorted(result.points, key=lambda point: point.workers)
        yield table(POINT, map(_point, points))
    if result.blocks:
        yield "## Workers and step together, in turn"
        yield table(BLOCK, _blocks(result))
    yield "## Where it was measured"
    machine = [(name, str(value)) for name, value in result.machine.items()]
    yield table(("", ""), [*machine, *result.versions.items(), ("when", result.started)])


def _to_paste(result: TuneResult) -> str:
    size = "" if result.batch_size is None else f", batch_size={result.batch_size}"
    return (
        f"```python\nfastfeed.Loader(source{size}, {result.arguments})\n"
        f"fastfeed.fit_generator(model, source, {result.arguments})\n```"
    )


def _answer(result: TuneResult) -> Iterator[tuple[str, str]]:
    if result.step is not None:
        step = f"{duration(result.step.median)} in the median, 95 % within "
        yield "the step alone", step + duration(result.step.p95)
    yield "waiting, predicted", _share(result.predicted_stall)
    yield "waiting, measured", _share(result.measured_stall)
    if result.needed_workers is not None:
        yield "workers that would do", str(result.needed_workers)
    yield "the queue's length is from", result.bound
    if result.slot_bytes:
        slots = gib(result.slot_bytes * result.max_queue_size)
        yield "memory", f"{gib(result.slot_bytes)} a batch, {slots} ahead of the step"
    yield "memory allowed", gib(result.memory_bytes)
    yield "training processes here", str(result.ranks)
    yield "time", f"{result.seconds:.1f} s of {result.budget_seconds:g} s"


def _point(point: Point) -> tuple[str, ...]:
    p95, longest = np.quantile(point.make_seconds, (0.95, 1.0)).tolist()
    return (
        str(point.workers), rate(point.batches_per_second.mean),
        _range(point.batches_per_second), rate(point.bytes_per_second / 1e6),
        _share(point.cpu_ratio), duration(point.make_mean_seconds), duration(p95),
        duration(longest), duration(point.first_batch_seconds),
    )  # fmt: skip


def _blocks(result: TuneResult) -> Iterator[tuple[str, ...]]:
    for block in result.blocks:
        yield (
            str(block.round), str(block.workers), str(block.ahead), str(block.batches),
            duration(block.seconds_per_batch), percent(block.stall),
        )  # fmt: skip


def _range(interval: Interval) -> str:
    if not (math.isfinite(interval.low) and math.isfinite(interval.high)):
        return UNKNOWN
    return f"{rate(interval.low)} to {rate(interval.high)}"


def _share(ratio: float | None) -> str:
    return UNKNOWN if ratio is None or not math.isfinite(ratio) else percent(ratio)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )
