"""The measurement of image files once, as small as it can be; and it notices wrong pictures."""

from pathlib import Path

import numpy as np
import pytest

from bench import images
from bench.images_cell import (
    BYTES,
    FASTFEED,
    FASTFEED_BYTES,
    FIRST,
    SIDE,
    TF,
    WAYS,
    Cell,
    files_in,
    look,
)
from bench.sheet import Sheet, parser


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """Eight names of four photographs, in four classes."""
    images.write_files(tmp_path, different=4, links=2)
    return str(tmp_path / "classes")


def test_the_table_of_ways_and_first_batches(folder: str, tmp_path: Path) -> None:
    assert len(files_in(folder)) == 8
    given = parser("some.module", "", 1).parse_args(["--quick", "--out", f"{tmp_path}"])
    sheet = Sheet("some", given, "some.module", {})
    first = Cell(FIRST.format(batch=8, rows=True), folder, first=(8, True))
    sheet.hold([Cell(FASTFEED_BYTES, folder), first], images.measure)
    assert [run["error"] for run in sheet.runs if "error" in run] == []
    page = sheet.publish("Some", images.lines(sheet)).read_text()
    row = next(line for line in page.splitlines() if line.startswith(f"| {FASTFEED_BYTES} | "))
    speed, cost = row.strip("|").split("|")[1:]
    assert float(speed.replace(",", "")) > 0 and float(cost.replace(",", "")) > 0
    assert f"| {FASTFEED} | {TF} | >= 1.2 x |  | not measured |" in page


@pytest.mark.parametrize(
    ("pictures", "words"),
    [
        (np.ones((8, SIDE, SIDE, 3), np.uint8), "an empty picture"),
        (np.zeros((8, SIDE, 3), np.uint8), "a batch of"),
        (np.zeros((8, SIDE, SIDE, 3), np.float32), "a batch of"),
    ],
)
def test_wrong_pictures_are_noticed(pictures: np.ndarray, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        look([pictures], 8, "uint8")


def test_pictures_that_are_missing_are_noticed() -> None:
    good = np.random.default_rng(0).integers(0, 256, (8, SIDE, SIDE, 3), dtype=np.uint8)
    look([good, good], 16, "uint8")
    with pytest.raises(AssertionError, match="8 of 16 pictures came"):
        look([good], 16, "uint8")


def test_ratios_are_formed_round_by_round(folder: str, tmp_path: Path) -> None:
    given = parser("some.module", "", 2).parse_args(["--quick", "--out", f"{tmp_path}"])
    sheet = Sheet("some", given, "some.module", {})
    speeds = iter([300.0, 100.0, 100.0, 500.0])
    cells = [Cell("a", folder), Cell("b", folder)]
    sheet.hold(cells, lambda cell: {"speed": next(speeds), "cell": cell.name})
    a, b = ([run["speed"] for run in sheet.of(name=name)] for name in "ab")
    assert images._ratios(sheet, "a", "b", "speed") == [a[0] / b[0], a[1] / b[1]]


def test_each_way_has_a_line_of_its_own() -> None:
    assert set(BYTES) <= set(WAYS)
    assert {name for bar in images.BARS for name in bar[:2]} == set(WAYS)
