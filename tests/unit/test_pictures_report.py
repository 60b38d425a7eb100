"""The report of a tuning: a page that needs nothing else, has all figures, escapes all texts."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from unit_tuned import FEW, NOTHING, tuned

from fastfeed.errors import gib
from fastfeed.pictures.style import NotSaved, number
from fastfeed.tuning.report import report, write_report
from fastfeed.tuning.result import Ended

HOSTILE = "<script>alert('1')</script>\"&amp;:x --> ]]> \x00\x1b[31m \udcff \u202e"
VOID = {"meta", "br", "img", "input", "link", "hr"}


class Read(HTMLParser):
    """A page as a browser takes it apart."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: list[tuple[str, str]] = []
        self.rows: list[list[str]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data

    def text_of(self, tag: str) -> list[str]:
        """Texts directly in such elements."""
        return [text for inside, text in self.texts if inside == tag]


RESULT = tuned(warnings=("Others used 12 % of the CPU.",))
PAGE = str(report(RESULT, "fastfeed tune my_data:train --step-ms 30"))
READ = Read(PAGE)


def test_every_element_is_closed_and_the_page_has_its_parts() -> None:
    assert PAGE.startswith("<!DOCTYPE html>\n<html lang=")
    assert READ.open == []
    assert READ.text_of("title") == READ.text_of("h1") == ["fastfeed tune: my_data:train"]
    assert READ.tags["svg"] == READ.tags["figcaption"] == 4
    assert READ.tags["script"] == READ.tags["link"] == READ.tags["img"] == 0


def test_nothing_is_fetched_from_anywhere() -> None:
    points_at = {
        value
        for _, name, value in READ.attributes
        if name.rpartition(":")[2] in ("href", "src", "srcset", "action", "data", "poster")
    }
    assert points_at
    assert all(value.startswith("#") for value in points_at)
    assert {value[:5] for value in re.findall(r"url\([^)]*\)", PAGE)} == {"url(#"}
    assert "@import" not in PAGE
    assert "://" not in PAGE


def test_names_inside_the_pictures_are_unique_and_found() -> None:
    ids = Counter(value for _, name, value in READ.attributes if name == "id")
    assert max(ids.values()) == 1
    used = set(re.findall(r"url\(#([^)]*)\)", PAGE))
    used |= {value[1:] for _, name, value in READ.attributes if name == "href"}
    assert len(used) > 20
    assert used <= ids.keys()


def test_pictures_are_described_for_those_who_cannot_see_them() -> None:
    labels = [value for _, name, value in READ.attributes if name == "aria-label"]
    assert labels == [
        "What workers make", "Waiting for data", "Making of a batch", "What each did",
    ]  # fmt: skip
    roles = [value for tag, name, value in READ.attributes if (tag, name) == ("svg", "role")]
    assert roles == ["img"] * 4


def row(first: str, length: int) -> list[str]:
    """The table's row that begins with a cell."""
    return next(found for found in READ.rows if found[0] == first and len(found) == length)


def test_all_figures_are_in_tables() -> None:
    for point in RESULT.points:
        rate = point.batches_per_second
        assert row(str(point.workers), 9) == [
            str(point.workers), number(rate.mean), f"{number(rate.low)} to {number(rate.high)}",
            number(4.8 * rate.mean), f"{100 * point.cpu_ratio:.0f} %", gib(point.memory_bytes),
            f"{number(1000 * point.first_batch_seconds)} ms", "290", "3 s",
        ]  # fmt: skip
        quantiles = np.quantile(point.make_seconds, (0.5, 0.95, 1))
        expected = [number(1e3 * each) for each in (point.make_seconds.mean(), *quantiles)]
        found = [cell.removesuffix(" ms") for cell in row(str(point.workers), 6)[1:5]]
        assert found == expected
    blocks = [found for found in READ.rows if len(found) == 6 and found[2] == "15"]
    assert len(blocks) == len(RESULT.blocks)
    assert ["2", "5", "15", "100", "30.4 ms", "1.2 %"] in blocks
    predicted = row("15", 4)
    assert all(cell.endswith(" %") for cell in predicted[1:])


def test_the_answer_is_there_to_be_pasted_and_repeated() -> None:
    assert READ.text_of("pre") == [
        "workers=5, max_queue_size=15", "fastfeed tune my_data:train --step-ms 30",
    ]  # fmt: skip
    pairs = {found[0]: found[1] for found in READ.rows if len(found) == 2}
    assert pairs["workers"] == "5"
    assert pairs["max_queue_size"] == "15 (from: batch times)"
    assert pairs["stall, predicted"] == "1.2 %"
    assert pairs["stall, measured"] == "1.7 %"
    assert pairs["step alone"] == "30 ms in the median, 95 % within 33 ms; 60 steps"
    assert pairs["time used"] == "48.2 s of 60.0 s"
    assert pairs["CPU"] == "A <quick> & quiet one"
    assert pairs["memory: total_bytes"] == "25"
    assert pairs["numpy"] == "2.4.6"
    assert "Others used 12 % of the CPU." in READ.text_of("p")


def test_what_comes_from_the_user_is_text_and_nothing_else(tmp_path: Path) -> None:
    hostile = replace(
        RESULT, source=HOSTILE, verdict=HOSTILE, error=HOSTILE, ended=Ended.FAILED, bound=HOSTILE,
        warnings=(HOSTILE,), machine={HOSTILE: HOSTILE}, versions={HOSTILE: HOSTILE},
        started=HOSTILE,
    )  # fmt: skip
    write_report(hostile, tmp_path / "t.html", HOSTILE)
    found = Read((tmp_path / "t.html").read_text("utf-8"))
    assert found.tags["script"] == 0
    assert found.tags.keys() == READ.tags.keys()
    assert found.open == []
    shown = HOSTILE.replace("\x00", "\ufffd").replace("\x1b", "\ufffd").replace("\udcff", "\\udcff")
    assert found.text_of("h1") == [f"fastfeed tune: {shown}"]
    assert found.text_of("pre")[1] == shown
    assert [shown, shown] in found.rows


@pytest.mark.parametrize("result", [NOTHING, FEW], ids=["nothing", "few"])
def test_a_tuning_that_ended_early_has_a_report_too(result: object) -> None:
    found = Read(str(report(result)))
    assert found.tags["svg"] == 4
    assert "fastfeed tune my_data:train" in found.text_of("pre")
    cells = [cell for line in found.rows for cell in line]
    assert "nan" not in " ".join(cells)
    assert "inf" not in " ".join(cells)
    if result is NOTHING:
        assert "This ended early (interrupted)." in found.text_of("p")
        assert "not known" in cells
    else:
        assert "too few to tell" in cells


def test_a_report_replaces_the_one_before_and_says_where_it_cannot_be(tmp_path: Path) -> None:
    target = tmp_path / "tune.html"
    target.write_text("old" * 10**6)
    write_report(NOTHING, target)
    assert target.read_text().endswith("</html>\n")
    with pytest.raises(NotSaved, match=r"nowhere/tune\.html cannot be written: No such file"):
        write_report(NOTHING, tmp_path / "nowhere" / "tune.html")
    with pytest.raises(NotSaved, match="Is a directory"):
        write_report(NOTHING, tmp_path)


def test_the_page_follows_the_reader_into_the_dark_and_onto_paper() -> None:
    style, *_ = READ.text_of("style")
    assert "prefers-color-scheme: dark" in style
    assert "@media print" in style
    colours = re.findall(r"(--[a-z]+): (#[0-9a-f]{6})", style)
    by_name = Counter(name for name, _ in colours)
    assert set(by_name.values()) == {3}  # light, dark, paper
    assert set(re.findall(r"var\((--[a-z]+)\)", style)) == set(by_name)
