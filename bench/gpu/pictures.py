"""``python -m bench.gpu.pictures FILE``: the pictures of a run, beside its JSON."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from bench.gpu.bars import NEXT_MICROSECONDS
from bench.gpu.names import (
    ALLOCATED,
    BUSY_WORK,
    CACHED,
    LONG,
    NEXT,
    PAGEABLE,
    REGISTERED,
    SIZES,
    TRAINING,
    WITH,
    WITHOUT,
    WORK_ALONE,
    batches_of,
    busy,
    copies_of,
)
from bench.gpu.record import Entries, Entry, Ratio, ratio
from bench.gpu.report import load
from bench.sources import WORKS

OURS, OTHERS, BEST = "#0f766e", "#9ca3af", "#d97706"  # teal, grey, amber
WIDTH = 9.0  # inches


def main(file: str) -> None:
    """Draw all pictures for which there are figures."""
    run, entries = load(Path(file))
    for name, draw in PICTURES.items():
        figure = draw(run, entries)
        if figure is None:
            continue
        figure.text(0.01, 0.01, caption(run), fontsize=7, color="#6b7280")
        if run["settings"]["device"] == "cpu":
            figure.text(
                0.5, 0.5, "REHEARSAL", fontsize=60, color="red", alpha=0.25, ha="center",
                va="center", rotation=20,
            )  # fmt: skip
        figure.tight_layout(rect=(0, 0.04, 1, 1))
        figure.savefig(Path(file).with_suffix("").as_posix() + f"-{name}.png", dpi=130)
        plt.close(figure)


def caption(run: dict[str, Any]) -> str:
    """Return where the figures come from."""
    about = run["about"]
    card = about["card"].get("name", "no GPU")
    driver = about["card"].get("driver_version", "none")
    return (
        f"{card}, driver {driver}; {about['cpu']['brand']}, {about['cpu']['usable']} cores; "
        f"{about['at']}; commit {about['commit']}. Medians; lines: lowest to highest round."
    )


def copies(run: dict[str, Any], entries: Entries) -> Any:
    """Draw GB/s to the device by size and kind of host memory."""
    kinds = {PAGEABLE: OTHERS, REGISTERED: OURS, ALLOCATED: BEST}
    if (copies_of("19.3 MB"), REGISTERED) not in entries:
        return None
    figure, axes = plt.subplots(figsize=(WIDTH, 4))
    for number, (kind, colour) in enumerate(kinds.items()):
        found = [entries.get((copies_of(size), kind)) for size in SIZES]
        places = [k + 0.27 * (number - 1) for k, entry in enumerate(found) if entry]
        upright(axes, places, [entry for entry in found if entry], colour, kind, 0.25)
    axes.set_xticks(range(len(SIZES)), list(SIZES))
    axes.set_ylabel("GB/s")
    axes.set_title("Copies from host to device, by size and kind of host memory")
    axes.legend(frameon=False, ncols=3, loc="upper left")
    axes.set_ylim(0, 1.2 * axes.get_ylim()[1])
    return clean(figure)


def batches(run: dict[str, Any], entries: Entries) -> Any:
    """Draw end-to-end GB/s of all contestants."""
    workers = run["settings"]["workers"]
    works = [w for w in ("uint8", "float32") if rows(entries, batches_of(w, workers))]
    if not works:
        return None
    figure, panels = plt.subplots(1, len(works), figsize=(WIDTH + 2, 4), squeeze=False)
    for axes, work in zip(panels[0], works, strict=True):
        found = rows(entries, batches_of(work, workers))
        scaled = [
            [rate * entry.extra["bytes_a_batch"] / 1e9 for rate in entry.rounds] for entry in found
        ]
        across(axes, [entry.name for entry in found], scaled)
        axes.set_xlabel("GB/s on the device")
        axes.set_title(f"{WORKS[work].title}, {workers} workers", fontsize=10)
    return clean(figure)


def busy_trainer(run: dict[str, Any], entries: Entries) -> Any:
    """Draw what is left of each contestant's rate when the training thread works in Python."""
    found = rows(entries, busy(WITHOUT))
    alone = entries.get((busy(LONG), WORK_ALONE))
    half = [(e, entries.get((busy(WITH), e.name))) for e in found]
    long = [(entries.get((busy(LONG), e.name)), alone) for e in found]
    if not any(other for _, other in half):
        return None
    figure, panels = plt.subplots(1, 2, figsize=(WIDTH + 2, 3.6))
    ratios(panels[0], [(other, entry) for entry, other in half])
    panels[0].set_title(
        f"Rate with / without work of half a batch's time ({BUSY_WORK})", fontsize=10
    )
    ratios(panels[1], long)
    panels[1].set_title("Longer work: rate / rate of the work alone", fontsize=10)
    return clean(figure)


def training(run: dict[str, Any], entries: Entries) -> Any:
    """Draw accelerator utilisation, and CPU seconds a step."""
    cached, found = entries.get((TRAINING, CACHED)), rows(entries, TRAINING)
    if not cached or not cached.rounds or len(found) < 2:
        return None
    others = [entry for entry in found if entry.name != CACHED]
    figure, panels = plt.subplots(1, 2, figsize=(WIDTH + 2, 3.2))
    ratios(panels[0], [(cached, entry) for entry in others], names=[e.name for e in others])
    panels[0].set_title("ResNet-50, bf16: accelerator utilisation", fontsize=10)
    across(panels[1], [e.name for e in others], [e.extra["cpu_seconds_a_step"] for e in others])
    panels[1].set_title("CPU seconds a step, all processes", fontsize=10)
    return clean(figure)


def waits(run: dict[str, Any], entries: Entries) -> Any:
    """Draw how long next() takes, by percentile."""
    found = rows(entries, NEXT)
    if not found:
        return None
    figure, axes = plt.subplots(figsize=(WIDTH, 3.6))
    colours = dict(zip(("torch", "cupy", "jax"), (OURS, BEST, OTHERS), strict=True))
    for entry in found:
        sample = entry.extra["sample"]
        percentiles = [99.9 * k / (len(sample) - 1) for k in range(len(sample))]
        axes.plot(percentiles, sample, color=colours[entry.name], label=entry.name)
    label = f"bar: {NEXT_MICROSECONDS} us, median"
    axes.axhline(NEXT_MICROSECONDS, color="black", linewidth=0.8, linestyle=":", label=label)
    axes.set_yscale("log")
    axes.set_xlabel("percentile of the calls")
    axes.set_ylabel("microseconds")
    axes.set_title("next() when a batch is ready on the device")
    axes.legend(frameon=False)
    return clean(figure)


PICTURES: dict[str, Callable[[dict[str, Any], Entries], Any]] = {
    "copies": copies,
    "batches": batches,
    "busy": busy_trainer,
    "training": training,
    "next": waits,
}


# -- what they are drawn with ---------------------------------------------------------------


def rows(entries: Entries, group: str) -> list[Entry]:
    """Return what was measured in a group, in the order in which it was written down."""
    return [entry for (of, _), entry in entries.items() if of == group and entry.rounds]


def colour_of(name: str) -> str:
    """Return ours or theirs."""
    return OURS if name.startswith("fastfeed") else OTHERS


def upright(
    axes: Any, places: Sequence[float], found: list[Entry], colour: str, label: str, width: float
) -> None:
    """Draw upright bars with their spread."""
    heights = [entry.median for entry in found]
    spread = [
        [entry.median - min(entry.rounds) for entry in found],
        [max(entry.rounds) - entry.median for entry in found],
    ]
    axes.bar(places, heights, width, color=colour, label=label, yerr=spread, ecolor="black")
    for place, entry in zip(places, found, strict=True):
        top = max(entry.rounds)
        axes.text(place, top, f"{entry.median:.3g}", ha="center", va="bottom", fontsize=8)


def across(axes: Any, names: list[str], rounds: list[list[float]]) -> None:
    """Draw a bar across for each name, the largest on top, with its spread."""
    order = sorted(range(len(names)), key=lambda k: statistics.median(rounds[k]))
    for place, k in enumerate(order):
        middle, highest = statistics.median(rounds[k]), max(rounds[k])
        spread = [[middle - min(rounds[k])], [highest - middle]]
        axes.barh(place, middle, color=colour_of(names[k]), xerr=spread, ecolor="black")
        axes.text(highest, place, f" {middle:.3g}", va="center", fontsize=8)
    axes.set_yticks(range(len(order)), [names[k] for k in order], fontsize=8)
    axes.set_xlim(0, 1.15 * max(value for values in rounds for value in values))


def ratios(axes: Any, pairs: list[tuple[Any, Any]], names: list[str] | None = None) -> None:
    """Draw the ratio of each pair of entries, with its spread."""
    each: dict[str, Ratio] = {}
    for number, (entry, base) in enumerate(pairs):
        if entry and base:
            each[names[number] if names else entry.name] = ratio(entry, base)
    for place, (name, figure) in enumerate(reversed(each.items())):
        spread = [[figure.median - figure.lowest], [figure.highest - figure.median]]
        axes.barh(place, figure.median, color=colour_of(name), xerr=spread, ecolor="black")
        axes.text(figure.highest, place, f" {figure.median:.3g}", va="center", fontsize=8)
    axes.set_yticks(range(len(each)), list(reversed(each)), fontsize=8)
    axes.axvline(1, color="black", linewidth=0.8, linestyle=":")
    axes.set_xlim(0, 1.15 * max([1.0, *(figure.highest for figure in each.values())]))


def clean(figure: Any) -> Any:
    """Take away what says nothing."""
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    return figure


if __name__ == "__main__":
    main(*sys.argv[1:])
