"""From pytest-benchmark's JSON to a page of Markdown."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.bars import BARS, KERAS_BARS, Bar, Entries, NotMeasuredError
from bench.rivals import RING
from bench.sources import WORKS


def write(measured: Path) -> Path:
    """Write `measured`'s tables beside it, as ``.md``, and return where."""
    page = measured.with_suffix(".md")
    page.write_text("\n".join(_lines(json.loads(measured.read_text()))) + "\n")
    return page


def _lines(run: dict[str, Any]) -> Iterator[str]:
    entries: Entries = {
        (entry["group"], entry["extra_info"]["contestant"]): entry for entry in run["benchmarks"]
    }
    yield from _heading(run)
    yield from _bars(entries)
    for work in WORKS:
        of_work = {name: entry for (group, name), entry in entries.items() if group == work}
        yield from _contest(work, of_work)
    others = [key for key in entries if key[0] not in WORKS]
    yield from _others({key: entries[key] for key in others})


def _heading(run: dict[str, Any]) -> Iterator[str]:
    machine, commit = run["machine_info"], run["commit_info"]
    load = machine["load_average"]
    yield f"# Measured {run['datetime'][:16].replace('T', ' ')} UTC"
    yield ""
    yield f"* Command: `{machine['command']}`, commit {commit.get('id', 'unknown')[:10]}" + (
        " with uncommitted changes" if commit.get("dirty") else ""
    )
    yield (
        f"* Machine: {machine['cpu']['brand']}, {machine['cpu']['usable']} cores usable, "
        f"{machine['memory_gib']} GiB, Linux {machine['kernel']}"
    )
    yield f"* Load average (1, 5, 15 min): {load['start']} at the start, {load['end']} at the end"
    disturbed = [e["extra_info"].get("cores_used_by_others", 0.0) for e in run["benchmarks"]]
    yield (
        "* Cores used by other programs during the rounds of a contestant: "
        f"{statistics.median(disturbed):.2f} (median), {max(disturbed):.2f} (worst)"
    )
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    yield f"* Python {machine['python']}, {packages}"
    yield ""


def _bars(entries: Entries) -> Iterator[str]:
    yield "## To reach"
    yield ""
    yield "| work | compared with | bar | measured | |"
    yield "|---|---|---|---|---|"
    for bar in KERAS_BARS if any(group.startswith("fit ") for group, _ in entries) else BARS:
        sign = ">=" if bar.at_least else "<="
        bound = f"{sign} {bar.bound:g} {bar.unit}"
        yield f"| {bar.work} | {bar.claim} | {bound} | {_verdict(bar, entries)} |"
    yield ""


def _verdict(bar: Bar, entries: Entries) -> str:
    try:
        figure = bar.figure(entries)
    except NotMeasuredError as error:
        return f"not measured: {error} |"
    return f"{figure:.3g} {bar.unit} | {'met' if bar.met(figure) else '**missed**'}"


def _contest(work: str, entries: dict[str, dict[str, Any]]) -> Iterator[str]:
    if not entries:
        return
    ours = [name for name in entries if name.startswith("fastfeed") or name == RING.name]
    best = min((entries[name]["stats"]["median"] for name in ours), default=None)
    yield f"## {WORKS[work].title}"
    yield ""
    yield "| contestant | batches/s | lowest to highest | rounds x batches | fastfeed's best is |"
    yield "|---|---|---|---|---|"
    for name, entry in sorted(entries.items(), key=lambda item: item[1]["stats"]["median"]):
        stats = entry["stats"]
        times = f"{stats['median'] / best:.2f} x" if best else ""
        yield (
            f"| {name} | {_rate(stats['median'])} | {_rate(stats['max'])} to {_rate(stats['min'])} "
            f"| {stats['rounds']} x {entry['extra_info']['batches_per_round']} | {times} |"
        )
    yield ""
    for name, reason in next(iter(entries.values()))["extra_info"]["left_out"].items():
        yield f"* {name} took no part: {reason}"
    yield ""


def _rate(seconds: float) -> str:
    rate = 1 / seconds
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"


def _others(entries: Entries) -> Iterator[str]:
    yield "## Everything else"
    yield ""
    yield "| group | what | median | lowest to highest | besides |"
    yield "|---|---|---|---|---|"
    for (group, name), entry in entries.items():
        stats, extra = entry["stats"], entry["extra_info"]
        shown = [key for key in extra if key not in ("contestant", "wait")]
        besides = ", ".join(f"{key} {_short(extra[key])}" for key in shown)
        yield (
            f"| {group} | {name} | {_seconds(stats['median'])} "
            f"| {_seconds(stats['min'])} to {_seconds(stats['max'])} | {besides} |"
        )
    yield ""


def _seconds(seconds: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def _short(value: object) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{key} {_short(one)}" for key, one in value.items())
    return f"{value:.3g}" if isinstance(value, float) else str(value)
