"""A run's figures as a page of Markdown, as JSON, and as rows of a picture."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from fastfeed.benchmark.results import LEFT_OUT, MEASURED, Emulation, FedRow, Report, Row, Table
from fastfeed.monitor.words import count

HEADS = (
    "loader", "batches/s", "slowest to fastest", "n", "MB/s", "of limit", "CPU ms/batch", "PSS MB",
    "first batch s",
)  # fmt: skip
NOTES = (
    "batches/s: the median of the rounds, then the slowest and the fastest; n: rounds",
    "of limit: bytes a second over the copy limit, the rate at which this machine copies into "
    "shared memory without doing anything else",
    "CPU: seconds of all of the loader's processes a batch, the median of the rounds",
    "PSS: memory of all of its processes together, at the highest (Linux's proportional set size)",
    "first batch: seconds from opening the loader, its library imported, to the first batch, the "
    "median of {openings} openings",
)


def as_json(report: Report) -> str:
    """Return everything that was measured, each round of it, in seconds and bytes."""
    return json.dumps({"format": 1, **asdict(report)}, indent=2)


def as_markdown(report: Report) -> str:
    """Return a page with every row, lost or won."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    machine, settings = report.machine, report.settings
    yield "# fastfeed bench"
    yield ""
    yield f"* Command: `{settings['command']}`, {settings['begun']}"
    yield (
        f"* Machine: {machine['cpu']['brand']}, {machine['cpu']['usable']} cores usable, "
        f"{machine['memory_gib']} GiB, Linux {machine['kernel']}; load average (1 min) "
        f"{settings['load_before']:.2f} before, {settings['load_after']:.2f} after"
    )
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    yield f"* Python {machine['python']}, {packages}"
    yield f"* {settings['workers']} workers and {settings['queue']} batches ahead for everybody"
    if report.interrupted:
        yield "* **Interrupted**: what follows is what was measured until then"
    yield ""
    for table in report.tables:
        yield from _table(table)
    for emulation in report.emulations:
        yield from _emulation(emulation)


def _table(table: Table) -> Iterator[str]:
    yield f"## {table.title}"
    yield ""
    yield f"{about(table)}."
    yield ""
    yield f"| {' | '.join(HEADS)} |"
    yield "|---" + "|---:" * (len(HEADS) - 1) + "|"
    for row in table.ranked():
        if row.status == MEASURED:
            yield f"| {' | '.join(cells(table, row))} |"
        else:
            yield f"| {row.loader} | {said(row)} |" + " |" * (len(HEADS) - 2)
    yield ""
    yield from (f"* {note}" for note in notes(table))
    yield ""


def cells(table: Table, row: Row) -> list[str]:
    """Return a measured row as texts."""
    limit = table.of_limit(row)
    return [
        row.loader,
        rate(row.rate),
        f"{rate(min(row.rates))} to {rate(max(row.rates))}",
        str(len(row.rates)),
        rate(row.rate * table.batch_bytes / 1e6),
        "" if limit is None else f"{limit:.2f}",
        short(1e3 * row.cpu),
        f"{row.peak_bytes / 1e6:,.0f}",
        short(row.first),
    ]


def _emulation(emulation: Emulation) -> Iterator[str]:
    yield f"## Emulated accelerators: {emulation.accelerator}"
    yield ""
    yield f"{about_emulation(emulation)}."
    yield ""
    counts = sorted({one.accelerators for row in emulation.rows for one in row.tried})
    yield f"| loader | kept fed |{''.join(f' AU with {count} |' for count in counts)} |"
    yield f"|---|---:|{'---:|' * len(counts)}---|"
    for row in fed_first(emulation):
        fed = "" if row.status == LEFT_OUT else kept_fed(row)
        found = {one.accelerators: percent(one.utilization) for one in row.tried}
        texts = [row.loader, fed, *(found.get(count, "") for count in counts), said(row)]
        yield f"| {' | '.join(texts)} |"
    yield ""


def fed_first(emulation: Emulation) -> list[FedRow]:
    """Return the rows, those that keep the most accelerators fed first."""
    return sorted(emulation.rows, key=lambda row: (row.status == LEFT_OUT, -row.fed, not row.tried))


def kept_fed(row: FedRow) -> str:
    """Return how many accelerators a loader keeps fed; at least so many, if it was not ended."""
    more = row.fed and row.reason and row.fed == row.tried[-1].accelerators
    return f"at least {row.fed}" if more else str(row.fed)


def about(table: Table) -> str:
    """Return what a reader must know about one table."""
    text = f"{size(table.batch_bytes)} a batch, made in {short(1e3 * table.make_seconds)} ms"
    if table.copy_bytes_per_second:
        text += f", copy limit {table.copy_bytes_per_second / 1e9:.1f} GB/s"
    if table.step_seconds:
        text += f", at most {1 / table.step_seconds:,.0f} batches/s because of the step"
    if not table.compared:
        text += ", contents not compared: they, or their order, differ from call to call"
    return text


def about_emulation(emulation: Emulation) -> str:
    """Return what a reader must know about one kind of accelerator."""
    scaled = emulation.record_bytes != emulation.full_record_bytes
    size = f"{emulation.record_bytes:,} bytes"
    if scaled:
        size += f" (scaled down from {emulation.full_record_bytes:,})"
    return (
        f"{count(emulation.batch_size, 'record')} of {size} a step, computing for "
        f"{1e3 * emulation.step_seconds:g} ms; kept fed: AU >= {emulation.least_au:g}"
    )


def notes(table: Table) -> list[str]:
    """Return what the columns mean."""
    openings = max((len(row.first_batch_seconds) for row in table.rows), default=0)
    return [note.format(openings=openings) for note in NOTES]


def said(row: Row | FedRow) -> str:
    """Return why a row has no figures."""
    if row.status in (LEFT_OUT, MEASURED):
        return row.reason
    return f"{row.status}: {row.reason}"


def percent(utilization: list[float]) -> str:
    """Return AU of several rounds: ``"97 % (96 to 98, n 3)"``."""
    least, most = 100 * min(utilization), 100 * max(utilization)
    ranked = sorted(utilization)
    middle = 50 * (ranked[(len(ranked) - 1) // 2] + ranked[len(ranked) // 2])
    return f"{middle:.0f} % ({least:.0f} to {most:.0f}, n {len(ranked)})"


def rate(value: float) -> str:
    """Return a rate: ``"98.4"``, ``"2,874"``, ``"401k"``, ``"3.09M"``."""
    for least, scale, unit in ((1e6, 1e6, "M"), (1e5, 1e3, "k")):
        if value >= least:
            return f"{value / scale:.3g}{unit}"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def short(value: float) -> str:
    """Return a small number: ``"140"``, ``"0.23"``, ``"<0.001"``."""
    if value < 0.001:
        return "<0.001"
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def size(n_bytes: float) -> str:
    """Return a number of bytes: ``"2.05 kB"``, ``"4.82 MB"``."""
    for scale, unit in ((1e6, "MB"), (1e3, "kB")):
        if n_bytes >= scale:
            return f"{n_bytes / scale:,.3g} {unit}"
    return f"{n_bytes:.0f} bytes"


def picture_rows(report: Report) -> list[dict[str, Any]]:
    """Return every measured row, for `fastfeed.pictures.throughput.Row`."""
    return [
        {
            "workload": table.title,
            "loader": row.loader,
            "batches_per_second": row.rates,
            "copy_limit_ratio": table.of_limit(row),
        }
        for table in report.tables
        for row in table.rows
        if row.status == MEASURED
    ]
