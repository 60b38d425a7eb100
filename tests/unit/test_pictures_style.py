"""What all pictures share: no display, none of the user's settings changed, clear errors."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import pytest
from matplotlib.colors import to_hex
from unit_figures import visible_texts
from unit_records import simulated

from fastfeed.errors import ArgumentError, FastFeedError, LibraryMissing
from fastfeed.pictures import style
from fastfeed.pictures.stats import stats_picture
from fastfeed.pictures.timeline import timeline_picture

RECORDS = simulated([15, 15, 15, 300] * 10, 12, workers=3, ahead=5, upload_ms=3)

PROGRAM = """
import sys
import numpy as np
import fastfeed.pictures.page, fastfeed.pictures.stats, fastfeed.pictures.throughput
import fastfeed.pictures.timeline, fastfeed.tuning.picture, fastfeed.tuning.report
assert "matplotlib" not in sys.modules, "imported before there is a picture to draw"
from fastfeed.monitor.journal import RECORD
picture = fastfeed.pictures.stats.stats_picture(np.zeros(0, RECORD))
fastfeed.pictures.style.save(picture, sys.argv[1])
assert "matplotlib" in sys.modules
assert "matplotlib.pyplot" not in sys.modules
"""


def test_pictures_need_no_display_and_matplotlib_only_when_drawn(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if "DISPLAY" not in name}
    environment["MPLBACKEND"] = "tkagg"  # what a user may have set, and cannot work here
    target = tmp_path / "stats.png"
    subprocess.run([sys.executable, "-c", PROGRAM, target], check=True, env=environment)
    assert target.read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)  # as if it were not installed
    words = r"A picture needs matplotlib.*pip install 'fastfeed\[plot\]'"
    with pytest.raises(LibraryMissing, match=words) as caught:
        stats_picture(RECORDS)
    assert isinstance(caught.value, FastFeedError)
    assert isinstance(caught.value, ImportError)


@pytest.mark.parametrize(
    ("name", "begin"), [("a.png", b"\x89PNG"), ("a.PDF", b"%PDF"), ("a.svg", b"<?xml")]
)
def test_the_end_of_the_name_says_the_format(tmp_path: Path, name: str, begin: bytes) -> None:
    picture = timeline_picture(RECORDS)
    style.save(picture, tmp_path / name)
    first = (tmp_path / name).read_bytes()
    assert first.startswith(begin)
    style.save(picture, str(tmp_path / name))  # a second time, over the first
    assert (tmp_path / name).read_bytes()[:5] == first[:5]


def test_the_svg_is_xml(tmp_path: Path) -> None:
    style.save(stats_picture(RECORDS, verdict="<b> & \"--' -->"), tmp_path / "a.svg")
    root = ElementTree.parse(tmp_path / "a.svg").getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert len(list(root.iter())) > 200


@pytest.mark.parametrize("name", ["picture", "picture.", "picture.doc", ".png"])
def test_a_name_without_a_format_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ArgumentError, match=r"must end in one of: .*\.png.*Received: .*pic|\.png'"):
        style.save(timeline_picture(RECORDS), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    picture = timeline_picture(RECORDS)
    (tmp_path / "folder.png").mkdir()
    for path, why in (
        (tmp_path / "nowhere" / "a.png", "No such file or directory"),
        (tmp_path / "folder.png", "Is a directory"),
        (Path("/proc/a.png"), "No such file or directory"),  # where root cannot write either
    ):
        with pytest.raises(style.NotSaved, match=f"{path} cannot be written: {why}") as caught:
            style.save(picture, path)
        assert isinstance(caught.value, OSError)


def test_no_setting_of_the_users_is_changed() -> None:
    before = dict(matplotlib.rcParams)
    stats_picture(RECORDS).draw_without_rendering()
    timeline_picture(RECORDS).draw_without_rendering()
    assert dict(matplotlib.rcParams) == before


def test_the_users_colours_make_nothing_invisible() -> None:
    dark = dict.fromkeys(
        ["text.color", "axes.labelcolor", "xtick.color", "ytick.color", "axes.edgecolor",
         "axes.titlecolor", "xtick.labelcolor", "ytick.labelcolor", "legend.labelcolor"], "white",
    )  # fmt: skip
    faces = dict.fromkeys(["axes.facecolor", "figure.facecolor", "legend.facecolor"], "black")
    with matplotlib.rc_context({**dark, **faces}):
        for picture in (stats_picture(RECORDS, ahead=5), timeline_picture(RECORDS)):
            found = list(visible_texts(picture))
            assert len(found) > 10
            assert {to_hex(text.get_color()) for text in found} <= {style.INK, style.MUTED}
            papers = [picture, *picture.axes]
            assert {to_hex(each.get_facecolor()) for each in papers} == {style.PAPER}


DURATIONS = {
    0: "0 s", 3e-7: "0.3 us", 2e-5: "20 us", 0.0352: "35.2 ms", 0.9999: "1 s", 61.26: "61.3 s",
    59999: "60,000 s",
}  # fmt: skip
NUMBERS = {0: "0", 0.0000123: "0.0000123", 42.26: "42.3", 999.6: "1,000", 98412: "98,400"}


@pytest.mark.parametrize(("seconds", "written"), DURATIONS.items())
def test_durations_have_three_digits_and_a_unit(seconds: float, written: str) -> None:
    assert style.duration(seconds) == written


@pytest.mark.parametrize(("value", "written"), NUMBERS.items())
def test_numbers_have_three_digits_and_no_powers(value: float, written: str) -> None:
    assert style.number(value) == written


def test_marks_of_an_axis_keep_their_distance() -> None:
    assert style.thinned([1, 2, 3]) == [1, 2, 3]
    assert style.thinned([7]) == [7]
    assert style.thinned([1, 2, 4, 8, 16, 200]) == [2, 16, 200]
    found = style.thinned(list(range(100)))
    assert found[-1] == 99
    assert min(later - earlier for earlier, later in pairwise(found)) >= 6
