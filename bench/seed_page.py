"""The seed table's JSON as a page of Markdown."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.seed_cell import IN_MEMORY

Runs = list[dict[str, Any]]


def write(measured: Path) -> Path:
    """Write the tables beside `measured` as ``.md`` and return where."""
    page = measured.with_suffix(".md")
    page.write_text("\n".join(_lines(json.loads(measured.read_text()))) + "\n")
    return page


def _lines(measured: dict[str, Any]) -> Iterator[str]:
    yield from _heading(measured)
    runs: Runs = measured["runs"]
    for backend in dict.fromkeys(("", *measured["sizes"]["backends"])):
        of_backend = [run for run in runs if run["backend"] == backend]
        ways = sorted({run["way"] for run in of_backend}, key=_place)
        rows = {way: [run for run in of_backend if run["way"] == way] for way in ways}
        yield from _training(backend, rows) if backend else _loading(rows, measured["sizes"])


def _heading(measured: dict[str, Any]) -> Iterator[str]:
    sizes, machine = measured["sizes"], measured["machine"]
    yield f"# The seed table, measured {measured['at']}"
    yield ""
    yield (
        f"{sizes['images']} JPEG pictures of 500 x 375, batches of {sizes['batch']}, "
        f"{sizes['epochs']} epochs; MobileNetV2 (alpha {sizes['alpha']}, input {sizes['side']} x "
        f"{sizes['side']}, weights=None). Medians of {sizes['rounds']} round(s)."
    )
    yield ""
    yield f"* Command: `{machine['command']}`"
    yield (
        f"* Machine: {machine['cpu']['brand']}, {machine['cpu']['usable']} cores usable, "
        f"{machine['memory_gib']} GiB, Linux {machine['kernel']}, no GPU"
    )
    yield f"* `OMP_NUM_THREADS`: {measured['openmp_threads'] or 'not set'}"
    load = machine["load_average"]
    yield f"* Load average (1, 5, 15 min): {load['start']} at the start, {load['end']} at the end"
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    yield f"* Python {machine['python']}, {packages}"
    yield ""
    yield "How to read it:"
    yield ""
    yield (
        "* *seconds*: the whole call, with compiling, starting workers, and for *in memory* "
        "decoding all pictures first. *later epoch*: the median of all epochs but the first."
    )
    yield (
        "* *over in memory*: the share of a later epoch beyond that of *in memory*. The cores are "
        "shared, so it holds both the waiting and what the workers take away from the model."
    )
    yield "* *data_wait*: what fastfeed itself reports for the later epochs; Keras reports nothing."
    yield (
        "* *peak MB*: proportional set size of the process and all its children, looked at once a "
        "second."
    )
    yield (
        "* *last loss*: of the last epoch. Weights and order are the same in all rows, so a row "
        "with another loss than *in memory* was not trained on the same batches."
    )
    yield ""


def _loading(rows: dict[str, Runs], sizes: dict[str, Any]) -> Iterator[str]:
    yield "## Loading alone, no model"
    yield ""
    yield "| | seconds | later epoch | pictures/s | peak MB |"
    yield "|---|---|---|---|---|"
    for way, runs in rows.items():
        done = _finished(runs)
        if not done:
            yield f"| {way} | {runs[0]['error']} | | | |"
            continue
        later = _later(done)
        yield (
            f"| {way} | {_median(done, 'seconds'):.1f} | {later:.2f} s "
            f"| {sizes['images'] / later:,.0f} | {_median(done, 'peak_mb'):,.0f} |"
        )
    yield ""


def _training(backend: str, rows: dict[str, Runs]) -> Iterator[str]:
    yield f"## Keras on {backend}"
    yield ""
    yield "| | seconds | later epoch | over in memory | data_wait | peak MB | last loss |"
    yield "|---|---|---|---|---|---|---|"
    in_memory = _finished(rows.get(IN_MEMORY, []))
    for way, runs in rows.items():
        done = _finished(runs)
        if not done:
            yield f"| {way} | {runs[0]['error']} | | | | | |"
            continue
        later = _later(done)
        over = f"{1 - _later(in_memory) / later:.0%}" if in_memory and way != IN_MEMORY else ""
        waits = [share for run in done for share in (run["data_wait"] or [])[1:]]
        wait = f"{statistics.median(waits):.0%}" if waits else ""
        yield (
            f"| {way} | {_median(done, 'seconds'):.1f} | {later:.2f} s | {over} | {wait} "
            f"| {_median(done, 'peak_mb'):,.0f} | {_median(done, 'loss'):.4f} |"
        )
    yield ""


def _finished(runs: Runs) -> Runs:
    """Return the runs that came to their end."""
    return [run for run in runs if "error" not in run]


def _later(runs: Runs) -> float:
    """Return the median seconds of the epochs after the first, or of the only one."""
    return statistics.median(s for run in runs for s in run["epochs"][1:] or run["epochs"])


def _median(runs: Runs, key: str) -> float:
    return statistics.median(run[key] for run in runs)


def _place(way: str) -> tuple[int, int, str]:
    """Order the rows: from memory, Keras's own, fastfeed's; each from simple to less simple."""
    return (way != IN_MEMORY) + way.startswith("fastfeed"), len(way), way
