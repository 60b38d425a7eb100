"""The tables of ``fastfeed bench`` for a terminal, wide or narrow."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from fastfeed.benchmark.report import (
    about,
    about_emulation,
    cells,
    fed_first,
    kept_fed,
    percent,
    said,
)
from fastfeed.benchmark.results import LEFT_OUT, MEASURED, Emulation, FedRow, Row, Table
from fastfeed.cli.output import Styled

WIDE = 80
"""Columns from which on a row is one line."""
HEADS = ("loader", "batches/s", "min to max", "n", "of limit", "CPU ms", "PSS MB", "first s")
WIDTHS = (17, 10, 18, 3, 9, 8, 7, 8)
SHOWN = (0, 1, 2, 3, 5, 6, 7, 8)
"""Which of a row's cells."""
PROBLEM = "bold red"


def table_parts(table: Table, columns: int) -> Iterator[Styled]:
    """Yield one work's table, no line longer than `columns`."""
    yield "\n", ""
    yield f"{textwrap.fill(table.title, columns)}\n", "bold"
    yield f"{textwrap.fill(about(table), columns)}\n", ""
    if columns >= WIDE:
        yield f"{line(HEADS)}\n", "underline"
    best = max((row.rate for row in table.rows), default=0.0)
    for row in table.ranked():
        if row.status != MEASURED:
            yield from _without(row, columns)
        elif columns >= WIDE:
            found = cells(table, row)
            yield f"{line([found[number] for number in SHOWN])}\n", _style(row, best)
        else:
            yield f"{row.loader}\n", _style(row, best)
            yield f"{_narrow(table, row, columns)}\n", ""


def _style(row: Row, best: float) -> str:
    return "bold green" if row.rate == best else ""


def line(texts: tuple[str, ...] | list[str]) -> str:
    """Return texts in columns, the first to the left, the others to the right."""
    first, *rest = zip(texts, WIDTHS, strict=True)
    parts = [f"{first[0]:<{first[1]}}", *(f"{text:>{size}}" for text, size in rest)]
    return "".join(parts)


def _narrow(table: Table, row: Row, columns: int) -> str:
    _, rate, spread, rounds, _, limit, cpu, memory, first = cells(table, row)
    text = (
        f"{rate} batches/s ({spread}, n {rounds}), {limit or '?'} of limit, {cpu} CPU ms, "
        f"{memory} MB PSS, first after {first} s"
    )
    return _indented(text, columns)


def _indented(text: str, columns: int) -> str:
    return textwrap.fill(text, columns, initial_indent="  ", subsequent_indent="  ")


def _without(row: Row | FedRow, columns: int) -> Iterator[Styled]:
    """Yield a row that has no figures, and why."""
    style = "dim" if row.status == LEFT_OUT else PROBLEM
    if columns < WIDE:
        yield f"{row.loader}\n", style
        yield f"{_indented(said(row), columns)}\n", style
        return
    head = f"{row.loader:<{WIDTHS[0]}}"
    yield f"{textwrap.fill(head + said(row), columns, subsequent_indent=' ' * WIDTHS[0])}\n", style


def emulation_parts(emulation: Emulation, columns: int) -> Iterator[Styled]:
    """Yield what each loader keeps fed, no line longer than `columns`."""
    yield "\n", ""
    yield f"{textwrap.fill(f'Emulated accelerators: {emulation.accelerator}', columns)}\n", "bold"
    yield f"{textwrap.fill(about_emulation(emulation), columns)}\n", ""
    best = max((row.fed for row in emulation.rows), default=0)
    for row in fed_first(emulation):
        if row.status != MEASURED and not row.tried:
            yield from _without(row, columns)
            continue
        tried = [f"AU with {one.accelerators}: {percent(one.utilization)}" for one in row.tried]
        more = [said(row)] if row.reason else []
        text = "; ".join([f"{kept_fed(row)} kept fed", *tried, *more])
        head = f"{row.loader:<{WIDTHS[0]}}" if columns >= WIDE else f"{row.loader}: "
        indent = " " * (WIDTHS[0] if columns >= WIDE else 2)
        style = "bold green" if best and row.fed == best else ""
        style = style if row.status == MEASURED else PROBLEM
        yield f"{textwrap.fill(head + text, columns, subsequent_indent=indent)}\n", style
