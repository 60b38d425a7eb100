"""The answer of ``fastfeed tune`` on the screen, in as many columns as there are."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Iterator, Sequence

from fastfeed.cli.output import Styled
from fastfeed.monitor.words import duration
from fastfeed.tuning.choice import seconds_per_batch
from fastfeed.tuning.result import Ended, Point, TuneResult
from fastfeed.tuning.words import percent, rate

POINT = ("workers", "batches/s", "make", "CPU", "MB/s")
BLOCK = ("workers", "queue", "a batch", "waiting")
"""Columns, the most important first."""
GAP = 2
INDENT = "    "


def answer(result: TuneResult, columns: int) -> Iterator[Styled]:
    """Yield what was measured, the verdict and the line to paste.

    Parameters
    ----------
    result : TuneResult
    columns : int
        Of the terminal. Only the line to paste may be longer.
    """
    if result.step is not None:
        yield f"The step alone: {duration(result.step.median)}\n\n", ""
    if result.points:
        yield "Workers alone\n", "bold"
        points = sorted(result.points, key=lambda point: point.workers)
        yield from _table(POINT, map(_point, points), columns)
    if result.blocks:
        yield "Workers and step together\n", "bold"
        yield from _table(BLOCK, _together(result), columns)
    early = "" if result.ended == Ended.DONE else "The answer so far: "
    yield _filled(early + result.verdict, columns), "bold"
    for warning in result.warnings:
        yield _filled(f"Note: {warning}", columns), "yellow"
    yield f"\n{INDENT}{result.arguments}\n", "bold green"


def _point(point: Point) -> tuple[str, ...]:
    return (
        str(point.workers),
        rate(point.batches_per_second.mean),
        duration(point.make_mean_seconds),
        f"{100 * point.cpu_ratio:.0f} %" if math.isfinite(point.cpu_ratio) else "",
        rate(point.bytes_per_second / 1e6),
    )


def _together(result: TuneResult) -> Iterator[tuple[str, ...]]:
    """Yield a row for each number of workers and length of the queue."""
    for workers, ahead in dict.fromkeys((block.workers, block.ahead) for block in result.blocks):
        own = [each for each in result.blocks if (each.workers, each.ahead) == (workers, ahead)]
        waited = math.fsum(block.stall * block.seconds for block in own)
        yield (
            str(workers),
            str(ahead) if workers else "",
            duration(seconds_per_batch(own)[workers].mean),
            percent(waited / math.fsum(block.seconds for block in own)),
        )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], columns: int) -> Iterator[Styled]:
    """Yield a table, without its last columns where there is no room for them."""
    lines = [tuple(head), *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    while sum(widths) + GAP * (len(widths) - 1) > columns:
        widths.pop()
    for number, line in enumerate(lines):
        cells = (cell.rjust(width) for cell, width in zip(line, widths, strict=False))
        yield (" " * GAP).join(cells) + "\n", "" if number else "dim"
    yield "\n", ""


def _filled(text: str, columns: int) -> str:
    return textwrap.fill(text, columns, break_on_hyphens=False) + "\n"
