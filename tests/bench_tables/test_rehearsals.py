"""Each table's measurement once, as small as it can be: that it runs, and notices wrong batches."""

from __future__ import annotations

from argparse import Namespace
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import (
    cache,
    look_ahead,
    records_cost,
    shapes,
    source_memory,
    source_resume,
    source_rows,
    source_table,
    tune_grid,
    watching,
)
from bench.harness import ROOT
from bench.loops import Loops
from bench.published import (
    arena,
    arena_cell,
    landscape,
    landscape_data,
    latency,
    latency_cell,
    mlperf,
)
from bench.shapes import CPU_BOUND, HEAVY_TAIL, SHAPES, Shape, Work
from bench.sheet import Sheet, parser


def page(tmp_path: Path, module: Any, cases: list[Any], measure: Any) -> str:
    """Hold cases once and return the page that the module makes of them."""
    given = parser("some.module", "", 1).parse_args(["--quick", "--out", f"{tmp_path}"])
    sheet = Sheet("some", given, "some.module", {})
    sheet.hold(cases, measure)
    assert [run["error"] for run in sheet.runs if "error" in run] == []
    return sheet.publish("Some", module.lines(sheet)).read_text()


def rows(page: str, beginning: str) -> list[list[str]]:
    """Return the cells of the lines that begin like this."""
    found = [line for line in page.splitlines() if line.startswith(beginning)]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in found]


def test_arena(tmp_path: Path) -> None:
    cells = [arena_cell.Cell(way, 1, 2, 1, kinds=2) for way in arena_cell.FASTFEED]
    found = page(tmp_path, arena, cells, arena.measure)
    for way in arena_cell.FASTFEED:
        ((_, speed, *_),) = rows(found, f"| {way} ")
        assert float(speed.replace(",", "")) > 0


def test_arena_notices_another_array() -> None:
    cell = arena_cell.Cell("fastfeed, fill", 1, 2, 1, kinds=2)
    payloads = arena_cell.Payloads(cell)
    arena_cell.check({"data": payloads.of(1)}, 1, cell)
    with pytest.raises(AssertionError, match="item 0"):
        arena_cell.check({"data": payloads.of(1)}, 0, cell)


def test_landscape(tmp_path: Path) -> None:
    landscape_data.write(tmp_path, 48)
    with ExitStack() as stack:
        lanes = landscape.Lanes(tmp_path, stack)
        found = page(tmp_path, landscape, [landscape.Case("fastfeed", 4, 1)], lanes.measure)
    ((_, cutoff, whole, first),) = rows(found, "| fastfeed ")
    assert all(float(figure.replace(",", "")) > 0 for figure in (cutoff, whole, first))


def test_landscape_samples_are_normalised(tmp_path: Path) -> None:
    landscape_data.write(tmp_path, 4)
    files = landscape_data.Files(str(tmp_path))
    planes, label = files[3]
    assert (planes.shape, planes.dtype, label) == ((3, 256, 256), np.float32, 3)
    assert abs(planes.mean()) < 0.1 and -2.5 <= planes.min() < -2 and 2 < planes.max() <= 2.5


def test_latency(tmp_path: Path) -> None:
    cells = [latency_cell.Cell(latency_cell.FILLED, 4, 200.0)]
    found = page(tmp_path, latency, cells, latency.measure)
    ((_, at_once, speed, *_),) = rows(found, "| fastfeed, fill with threads ")
    assert at_once == "64"
    assert float(speed.replace(",", "")) > 0


def test_records_cost(tmp_path: Path) -> None:
    """The C functions, and pairs of which both are this tree."""
    tree = tmp_path / "before"
    tree.mkdir()
    (tree / "fastfeed").symlink_to(ROOT / "fastfeed")
    builds = records_cost.Builds(tree, pairs=2)
    cases = [records_cost.Case("workers=0", 0, 500), records_cost.Case(records_cost.ALONE)]
    found = page(tmp_path, records_cost, cases, builds.measure)
    assert rows(found, "| 0 ")[0][-1] == "2"
    assert float(rows(found, "| the consumer ")[0][1]) > 0


def test_loops_look_ahead(tmp_path: Path) -> None:
    case = look_ahead.Case(look_ahead.ASKED, 2, 0.3, 5, 0.2)
    with Loops() as loops:
        found = page(
            tmp_path,
            look_ahead,
            [case],
            lambda case: loops.measure(case.shape, case.workers, case.ahead, case.seconds),
        )
    ((_, _, ahead, measured, foretold, *_),) = rows(found, "| 2 | 0.3 ")
    assert ahead == "**5** (asked for)"
    assert 0 <= float(measured) < 100 and 0 <= float(foretold) < 100


def test_tune_grid(tmp_path: Path) -> None:
    given = parser("some.module", "", 1).parse_args(["--quick", "--out", f"{tmp_path}"])
    sheet = Sheet("some", given, "some.module", {})
    with Loops() as loops:
        shape = CPU_BOUND
        tune_grid.compete(sheet, shape, Namespace(**vars(given), budget=1.0), loops)
    assert [run["error"] for run in sheet.runs if "error" in run] == []
    found = sheet.publish("Some", tune_grid.lines(sheet)).read_text()
    (row,) = rows(found, f"| {shape.name} ")
    assert row[1].startswith("workers=")
    assert float(row[5]) >= 0  # nobody is better than the best


def test_every_shape_can_be_given_to_tune() -> None:
    to_names = str.maketrans(" -", "__")
    for shape in SHAPES:
        work = getattr(shapes, shape.name.lower().translate(to_names))()
        assert isinstance(work, Work) and work.shape is shape


def test_shapes_sleep_as_long_as_they_say() -> None:
    assert Shape("", sleep=0.01, variation=0.5).sleeps().mean() == pytest.approx(0.01, rel=0.05)
    slow = HEAVY_TAIL.sleeps() > 2 * HEAVY_TAIL.sleep
    assert slow.mean() == pytest.approx(1 / HEAVY_TAIL.slow_every, rel=0.05)


def test_source_table(tmp_path: Path) -> None:
    ours, torch, take = source_rows.FASTFEED, source_rows.TORCH_INDEXED[0], source_rows.TAKE
    cells: list[Any] = [source_rows.Cell(way, 600, seconds=0.01) for way in (ours, torch, take)]
    cells += [
        source_memory.Cell(source_memory.FASTFEED, 1, 2, 2_000, kept=kept) for kept in (True, False)
    ]
    cells += [source_resume.Cell(source, 0.5, 1_000) for source in source_resume.SOURCES]
    found = page(tmp_path, source_table, cells, source_table.measure)
    assert rows(found, f"| {ours} ")[0][2] == "1.00 x"
    for way in (ours, torch, take):
        assert float(rows(found, f"| {way} ")[0][1].replace(",", "")) > 0
    for kept in ("in a list", "made when asked for"):
        assert f"| fastfeed | 1 | {kept} | " in found
    for source in source_resume.SOURCES:
        assert rows(found, f"| {source} | 50% ")[0][2] != ""


def test_shuffled_rows_that_are_wrong_are_noticed() -> None:
    x, y = arrays = source_rows.make(source_rows.Cell("", rows=20, row_bytes=8))
    order = np.random.default_rng(0).permutation(20)
    source_rows.check([(x[order], y[order])], arrays)
    for batches, words in (
        ([(x, y)], "nothing was shuffled"),
        ([(x[order], y)], "another x"),
        ([(x[order[:19]], y[order[:19]])] * 2, "twice"),
    ):
        with pytest.raises(AssertionError, match=words):
            source_rows.check(batches, arrays)


def test_cache(tmp_path: Path) -> None:
    size = {**cache.SIZES[0], "rows": 1024, "epochs": 2}
    cells = [cache.Cell(way, **size) for way in (cache.ARRAYS, cache.MEMORY, cache.DISK)]
    found = page(tmp_path, cache, cells, cache.measure)
    assert "samples of 3,072 B | >= 0.8 x | " in found
    for cell in cells:
        ((_, second, _, later, _),) = rows(found, f"| {cell.name} ")
        assert min(float(speed.replace(",", "")) for speed in (second, later)) > 0


def test_watching(tmp_path: Path) -> None:
    job = watching.JOBS[1]
    watched = watching.Watched(job, window=0.1, windows=1)
    cases = [watching.Case(job.name, watching.TOP)]
    found = page(tmp_path, watching, cases, lambda case: watched.measure(case.looker))
    ((_, looker, _, _, _, windows, *_),) = rows(found, f"| {job.name} ")
    assert (looker, windows) == (watching.TOP, "1")


def test_mlperf(tmp_path: Path) -> None:
    case = mlperf.Case("plain", "cosmoflow-h100", seconds=1.0, repeats=1, scale=0.001)
    found = page(tmp_path, mlperf, [case], mlperf.measure)
    ((_, fed, utilization, *_),) = rows(found, "| plain ")
    assert "cosmoflow-h100: 1 records of 2,828 bytes" in found
    assert utilization.endswith(", n 1") and ("1" in fed or "0" in fed)
