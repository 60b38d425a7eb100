"""``python -m bench.images``: JPEG files of 500 x 375 to batches of 224 x 224, with two workers.

A random crop, resized (bilinear), flipped half of the times: by `fastfeed.images`, by tf.data, and
by SPDL with its own decoder (it needs the libraries of FFmpeg). Keras's `ImageDataGenerator` has
no random crop: it zooms, shifts and flips, or only resizes (nearest) and flips, less work than all
others. (``fast=True``: the quick DCT, plain upsampling of colours; without it the pixels are
Pillow's.) Then how long the first batch of 256 takes, made by one worker or by both; a first batch
of one picture says how much of that is the start.

Every run has a process of its own. The files are cut from photographs that scikit-learn and
scikit-image bring (`photos.py`), and lie in a temporary folder, so in the page cache.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench import photos
from bench.apart import run_apart
from bench.harness import missing_modules
from bench.images_cell import (
    BATCH,
    FASTFEED,
    FASTFEED_AS_KERAS,
    FASTFEED_BYTES,
    FASTFEED_FAST,
    FIRST,
    KERAS,
    KERAS_MOVED,
    SPDL,
    SPDL_FAST,
    TF,
    TF_FUSED,
    WAYS,
    WHEN_READY,
    WORKERS,
    Cell,
)
from bench.rivals import Contestant
from bench.sheet import Run, Sheet, parser, spread, verdict

MODULE = "bench.images"
CLASSES, DIFFERENT, LINKS = 4, 256, 8  # every file has so many names
NEEDS = {
    KERAS: "keras", KERAS_MOVED: "keras", TF: "tensorflow", TF_FUSED: "tensorflow", SPDL: "spdl",
    SPDL_FAST: "spdl",
}  # fmt: skip
BARS = (
    (FASTFEED, KERAS_MOVED, 2.0),
    (FASTFEED, KERAS, 2.0),
    (FASTFEED_AS_KERAS, KERAS, 2.0),
    (FASTFEED, TF, 1.2),
    (FASTFEED_FAST, TF, None),
    (FASTFEED, TF_FUSED, None),
    (FASTFEED_BYTES, SPDL, 1.1),
    (FASTFEED_BYTES, SPDL_FAST, 1.1),
)
"""Who is compared with whom, and how many times as fast he is to be."""
CPU = "cpu_us_an_image"
LARGE, SMALL, FIRST_BAR = 256, 1, 0.6


def write_files(folder: Path, different: int, links: int) -> None:
    """Write photographs and give each some names, in folders by class."""
    photos.write(folder / "photographs", different)
    for number, file in enumerate(sorted((folder / "photographs").iterdir())):
        of_class = folder / "classes" / f"class {number % CLASSES}"
        of_class.mkdir(parents=True, exist_ok=True)
        for link in range(links):
            os.link(file, of_class / f"{file.stem}-{link}.jpg")


def cases(folder: str, passes: int) -> list[Cell]:
    """Return the runs of a round."""
    first = [(SMALL, False), (LARGE, False), (LARGE, True)]
    return [Cell(name, folder, passes) for name in WAYS] + [
        Cell(FIRST.format(batch=batch, rows=rows), folder, first=(batch, rows))
        for batch, rows in first
    ]


def measure(cell: Cell) -> Run:
    """Run one cell."""
    missing = missing_modules(Contestant(cell.name, "", (NEEDS.get(cell.name, "fastfeed"),)))
    if missing:
        return {"error": f"not installed: {', '.join(missing)}"}
    command = [sys.executable, "-m", "bench.images_cell", cell.dumps()]
    return run_apart(command, {"KERAS_BACKEND": "numpy"}, limit=300.0)


def lines(sheet: Sheet) -> Iterator[str]:
    """Yield the tables; ratios are formed in each round."""
    yield "| way | images/s | CPU microseconds an image, all processes |"
    yield "|---|---|---|"
    for name in WAYS:
        runs = sheet.of(name=name)
        speeds, costs = ([run[key] for run in runs] for key in ("images_per_second", CPU))
        yield f"| {name} | {spread(speeds)} | {spread(costs)} |"
    yield ""
    yield "| fastfeed | compared with | bar | times as fast | |"
    yield "|---|---|---|---|---|"
    for ours, theirs, bar in BARS:
        ratios = _ratios(sheet, ours, theirs, "images_per_second")
        met = verdict(statistics.median(ratios) >= bar if ratios else None) if bar else ""
        wanted = f">= {bar} x" if bar else ""
        yield f"| {ours} | {theirs} | {wanted} | {spread(ratios, '.2f')} | {met} |"
    yield ""
    yield from _first_batches(sheet)


def _ratios(sheet: Sheet, above: str, below: str, figure: str) -> list[float]:
    """Return one figure over another, round by round."""

    def by_round(name: str) -> dict[int, float]:
        return {run["round"]: run[figure] for run in sheet.of(name=name)}

    over, under = by_round(above), by_round(below)
    return [over[n] / under[n] for n in sorted(over.keys() & under.keys())]


def _first_batches(sheet: Sheet) -> Iterator[str]:
    one, whole, divided = (
        FIRST.format(batch=batch, rows=rows)
        for batch, rows in ((SMALL, False), (LARGE, False), (LARGE, True))
    )
    yield "| | s from `Loader()` | s from `next()`, workers ready |"
    yield "|---|---|---|"
    for name in (one, whole, divided):
        times = ([run[key] for run in sheet.of(name=name)] for key in ("seconds", WHEN_READY))
        yield f"| {name} | {' | '.join(spread(each, '.3f') for each in times)} |"
    yield ""
    for key, text in (("seconds", "From `Loader()`"), (WHEN_READY, "With workers ready")):
        ratios = _ratios(sheet, divided, whole, key)
        met = verdict(statistics.median(ratios) <= FIRST_BAR if ratios else None)
        spread_ = spread(ratios, ".2f")
        yield f"{text}, rows=True over rows=False: {spread_} x, to reach <= {FIRST_BAR} x: {met}."


def main() -> None:
    """Measure and write the tables."""
    given = parser(MODULE, __doc__, rounds=5).parse_args()
    different, links, passes = (DIFFERENT, 1, 1) if given.quick else (DIFFERENT, LINKS, 3)
    settings = {
        "files": different * links, "passes": passes, "batch": BATCH, "workers": WORKERS,
    }  # fmt: skip
    sheet = Sheet("images", given, MODULE, settings)
    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder), different, links)
        sheet.hold(cases(str(Path(folder, "classes")), passes), measure)
    sheet.publish("JPEG files to batches", lines(sheet))


if __name__ == "__main__":
    main()
