"""From the JSON of a run to a page of Markdown: first what was to be reached."""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.gpu.bars import Bar, bars
from bench.gpu.record import Entries, Entry, NotMeasuredError
from bench.gpu.tables import tables

ERROR_LINES = 25  # of a traceback, from its end


def load(file: Path) -> tuple[dict[str, Any], Entries]:
    """Return a run and its entries; of those with one group and name the last counts."""
    run = json.loads(file.read_text())
    found = [Entry(**entry) for part in run["parts"].values() for entry in part["entries"]]
    return run, {(entry.group, entry.name): entry for entry in found}


def write(file: Path) -> Path:
    """Write `file`'s tables beside it, as ``.md``, and return where."""
    run, entries = load(file)
    page = file.with_suffix(".md")
    page.write_text("\n".join(lines(run, entries)) + "\n")
    return page


def lines(run: dict[str, Any], entries: Entries) -> Iterator[str]:
    """Yield the page."""
    yield from _heading(run)
    yield from _bars(run["settings"], entries)
    yield from _parts(run)
    for table in tables(run["settings"], entries):
        yield from _guarded(table)
    yield from _failures(run, entries)


def _guarded(table: Iterator[str]) -> Iterator[str]:
    """Yield a table; one that cannot be written does not take the others along."""
    try:
        yield from table
    except Exception:
        yield ""
        yield from _code(traceback.format_exc(), ERROR_LINES)


def _heading(run: dict[str, Any]) -> Iterator[str]:
    about = run["about"]
    if run["settings"]["device"] == "cpu":
        yield "# REHEARSAL without a GPU: these figures mean nothing"
    else:
        yield f"# On a GPU, measured {about['at']}"
    yield ""
    card = about["card"]
    yield f"* Command: `{about['command']}`, commit {about['commit']}"
    yield (
        f"* Card: {card.get('name', 'none')}, driver {card.get('driver_version', 'none')}, "
        + ", ".join(f"{key} {value}" for key, value in list(card.items())[2:])
    )
    yield (
        f"* Host: {about['cpu']['brand']}, {about['cpu']['usable']} cores usable, "
        f"{about['memory_gib']} GiB, {about['numa_nodes']} NUMA node(s), Linux {about['kernel']}; "
        f"memlock limit {about['memlock_bytes']} bytes; huge pages for shared memory: "
        f"`{about['shmem_huge_pages']}`"
    )
    load_average = about["load_average"]
    yield f"* Load average: {load_average['start']} at the start, {load_average['end']} at the end"
    packages = ", ".join(f"{name} {version}" for name, version in about["packages"].items())
    yield f"* Python {about['python']}, {packages}"
    settings = ", ".join(f"{name} {value}" for name, value in run["settings"].items())
    yield f"* Settings: {settings}"
    yield (
        "* Contestants take turns, round by round, in an order that is shuffled anew. A figure is "
        "the median of the rounds, behind it the lowest and the highest; a ratio is formed in each "
        "round, and its median, lowest and highest are given."
    )
    yield ""


def _bars(settings: dict[str, Any], entries: Entries) -> Iterator[str]:
    yield "## To reach"
    yield ""
    yield "| work | compared with | bar | measured | lowest to highest | |"
    yield "|---|---|---|---|---|---|"
    verdicts = {True: "met", False: "**missed**", None: ""}
    if settings["device"] == "cpu":
        verdicts = dict.fromkeys(verdicts, "rehearsed")
    for bar in bars(settings["workers"]):
        bound = f"{bar.sign} {bar.bound:g} {bar.unit}" if bar.sign else "for comparison"
        yield f"| {bar.work} | {bar.claim} | {bound} | {_measured(bar, entries, verdicts)} |"
    yield ""


def _measured(bar: Bar, entries: Entries, verdicts: dict[bool | None, str]) -> str:
    try:
        figure = bar.figure(entries)
    except NotMeasuredError as error:
        return f"not measured: {error} | |"
    spread = f"{figure.lowest:.3g} to {figure.highest:.3g}"
    return f"{figure.median:.3g} {bar.unit} | {spread} | {verdicts[bar.met(figure)]}"


def _parts(run: dict[str, Any]) -> Iterator[str]:
    yield "## Parts"
    yield ""
    yield "| part | seconds | limit | |"
    yield "|---|---|---|---|"
    for name, part in run["parts"].items():
        verdict = part["error"] or "done"
        yield f"| {name} | {part['seconds']:.1f} | {part['limit']:.0f} | {verdict} |"
    yield f"| all | {run['seconds']:.1f} | | |"
    yield ""
    tests = run["parts"].get("tests")
    if tests:
        yield "`pytest -m gpu` ended with:"
        yield ""
        yield from _code(tests["output"], 30)


def _failures(run: dict[str, Any], entries: Entries) -> Iterator[str]:
    whose: dict[str, list[str]] = {}  # by what went wrong: often the same for many
    for entry in entries.values():
        if entry.failure:
            whose.setdefault(entry.failure, []).append(f"{entry.name} ({entry.group})")
    broken = {name: part for name, part in run["parts"].items() if part["error"]}
    if not whose and not broken:
        return
    yield "## What could not be measured"
    yield ""
    for why, names in whose.items():
        yield from (f"* {name}" for name in names)
        yield ""
        yield from _code(why, ERROR_LINES)
    for name, part in broken.items():
        yield f"The part **{name}**: {part['error']}. It said last:"
        yield ""
        yield from _code(part["output"], ERROR_LINES)


def _code(text: str, most: int) -> Iterator[str]:
    yield "```"
    yield from text.strip().splitlines()[-most:]
    yield "```"
    yield ""
