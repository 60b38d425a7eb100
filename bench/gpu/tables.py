"""The report's tables, one function for each part."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from typing import Any

from bench.gpu.names import (
    ALLOCATED,
    ALONE,
    AUGMENT,
    AUGMENT_TORCH,
    BUSY_WORK,
    CACHED,
    CALLS,
    LONG,
    NEXT,
    REGISTRATION,
    SIZES,
    TRAINING,
    WITH,
    WITHOUT,
    WORK_ALONE,
    WRITES,
    batches_of,
    busy,
    copies_of,
    copying_beside,
    writing_beside,
)
from bench.gpu.record import Entries, Entry, Ratio, ratio
from bench.gpu.rivals import TORCH
from bench.sources import WORKS

Table = Iterator[str]
Column = tuple[str, Callable[[Entry], str]]
COUNTS = (
    "uploads_before", "uploads", "host_copies_before", "host_copies", "pinned", "registered_bytes",
    "register_seconds", "buffers",
)  # fmt: skip


def tables(settings: dict[str, Any], entries: Entries) -> Iterator[Table]:
    """Yield the tables of all that was measured."""
    for size in SIZES:
        yield compared(f"H2D, {copies_of(size)}", copies_of(size), entries, ALLOCATED)
    yield compared("Registering host memory", REGISTRATION, entries, "", REGISTERING)
    for copy in WRITES:
        for group in (copying_beside(copy), writing_beside(copy)):
            yield compared(group.capitalize(), group, entries, ALONE)
    workers = settings["workers"]
    for work, count in (
        (w, n) for w in ("uint8", "float32") for n in dict.fromkeys((workers, 4, 2))
    ):
        group = batches_of(work, count)
        yield compared(f"End to end: {group}", group, entries, TORCH.name, BATCHES)
    yield counters(entries, workers)
    yield busy_table(entries)
    title = "Training: ResNet-50, bf16, channels last, uint8 in"
    yield compared(title, TRAINING, entries, CACHED, STEPS, quicker=True)
    yield compared("`next()` when a batch is ready", NEXT, entries, "", WAITS)
    yield calls(entries)
    yield compared(f"Device transforms: {AUGMENT}", AUGMENT, entries, AUGMENT_TORCH, RATES)


def of(group: str, entries: Entries) -> list[Entry]:
    """Return what was measured in a group, the best first."""
    found = [e for (g, _), e in entries.items() if g == group and e.rounds]
    return sorted(found, key=lambda e: e.median, reverse=bool(found) and found[0].unit[-2:] == "/s")


def compared(
    title: str, group: str, entries: Entries, base: str, columns: tuple[Column, ...] = (),
    quicker: bool = False,
) -> Table:  # fmt: skip
    """Yield a group's table, with each one's ratio to `base` (its times, if `quicker`)."""
    rows = of(group, entries)
    if not rows:
        return
    to = entries.get((group, base))
    unit = rows[0].unit
    headings = [unit, "lowest to highest", "rounds", *(name for name, _ in columns)]
    headings += [f"times {base}" if not quicker else f"AU: {base} over this"] if to else []
    yield f"## {title}"
    yield ""
    yield f"| | {' | '.join(headings)} |"
    yield "|---" * (len(headings) + 1) + "|"
    for entry in rows:
        cells = [short(entry.median), spread(entry), str(len(entry.rounds))]
        cells += [cell(entry) for _, cell in columns]
        if to and to.rounds:
            cells.append(shown(ratio(to, entry) if quicker else ratio(entry, to)))
        yield f"| {entry.name} | {' | '.join(cells)} |"
    yield ""


def counters(entries: Entries, workers: int) -> Table:
    """Yield what fastfeed counted."""
    rows = [
        (WORKS[work].title, entry)
        for work in ("uint8", "float32")
        for entry in of(batches_of(work, workers), entries)
        if "uploads" in entry.extra
    ]
    if not rows:
        return
    yield "## What fastfeed counted"
    yield ""
    yield "*before*: when the first round began. Batches made before there were slots came earlier."
    yield ""
    yield f"| | {' | '.join(COUNTS)} |"
    yield "|---" * (len(COUNTS) + 1) + "|"
    for title, entry in rows:
        cells = " | ".join(short(entry.extra.get(name)) for name in COUNTS)
        yield f"| {entry.name}, {title} | {cells} |"
    yield ""


def busy_table(entries: Entries) -> Table:
    """Yield, for each contestant, its rates with and without work in the training thread."""
    rows = of(busy(WITHOUT), entries)
    if not rows:
        return
    amounts = [
        f"{1e3 * entries[busy(kind), rows[0].name].extra['work_seconds']:.2f} ms"
        for kind in (WITH, LONG)
    ]
    yield f"## A training thread that is busy in Python, {WORKS[BUSY_WORK].title}"
    yield ""
    yield (
        f"Work after each batch: none; {amounts[0]}, half of what fastfeed needs for a batch; and "
        f"{amounts[1]}, where the best is the work alone."
    )
    yield ""
    yield f"| | batches/s | with {amounts[0]} | with / without | with {amounts[1]} | of the best |"
    yield "|---|---|---|---|---|---|"
    alone = entries.get((busy(LONG), WORK_ALONE))
    for entry in rows:
        cells = [short(entry.median)]
        for kind, base in ((WITH, entry), (LONG, alone)):
            other = entries.get((busy(kind), entry.name))
            if other and base:
                cells += [short(other.median), shown(ratio(other, base))]
            else:
                cells += ["", ""]
        yield f"| {entry.name} | {' | '.join(cells)} |"
    yield ""


def calls(entries: Entries) -> Table:
    """Yield the driver calls of next(), by name."""
    rows = [entry for (group, _), entry in entries.items() if group == CALLS and entry.rounds]
    if not rows:
        return
    yield "## Driver calls that the training thread makes"
    yield ""
    yield "| traced | calls of `next()` | that synchronise | in `next()` | when it is dropped |"
    yield "|---|---|---|---|---|"
    for entry in rows:
        cells = [
            ", ".join(f"{count} {name}" for name, count in entry.extra[where].items()) or "none"
            for where in ("next", "drop")
        ]
        yield (
            f"| {entry.name} | {entry.extra['calls']} | {entry.median:.0f} | {' | '.join(cells)} |"
        )
    yield ""


# -- cells ----------------------------------------------------------------------------------


def short(value: Any) -> str:
    """Return a number as people write it."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, float) and abs(value) < 100:
        return f"{value:.3g}"
    return f"{value:,.0f}"


def spread(entry: Entry) -> str:
    """Return the lowest and the highest round."""
    return f"{short(min(entry.rounds))} to {short(max(entry.rounds))}"


def shown(figure: Ratio) -> str:
    """Return a ratio with its spread."""
    return f"{figure.median:.3g} ({figure.lowest:.3g} to {figure.highest:.3g})"


def median_of(key: str, scale: float) -> Callable[[Entry], str]:
    """Return a function that gives the median of an extra list."""
    return lambda entry: short(scale * statistics.median(entry.extra[key]))


def extra(key: str) -> Callable[[Entry], str]:
    """Return a function that gives an extra number."""
    return lambda entry: short(entry.extra.get(key))


BATCHES: tuple[Column, ...] = (
    ("GB/s", lambda entry: short(entry.median * entry.extra["bytes_a_batch"] / 1e9)),
    ("CPU ms a batch", median_of("cpu_seconds_a_batch", 1e3)),
    ("batches a round", extra("batches_per_round")),
)
REGISTERING: tuple[Column, ...] = (
    ("unregistering", median_of("unregister", 1)),
    ("KiB of huge pages", extra("huge_kib")),
)
STEPS: tuple[Column, ...] = (
    ("images/s", lambda entry: short(entry.extra["images"] / entry.median)),
    ("CPU s a step", median_of("cpu_seconds_a_step", 1)),
)
WAITS: tuple[Column, ...] = (
    ("p99", extra("p99")),
    ("highest of all", extra("highest")),
    ("dropping the batch", extra("drop")),
    ("its p99", extra("drop_p99")),
    ("calls", extra("calls")),
)
RATES: tuple[Column, ...] = (
    ("GB/s read and written", lambda e: short(e.median * e.extra["bytes_an_image"] / 1e9)),
)
