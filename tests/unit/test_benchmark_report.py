"""The tables of ``fastfeed bench``: every row is there, and fits the screen."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from fastfeed.benchmark.report import as_json, as_markdown, percent, picture_rows, rate, short, size
from fastfeed.benchmark.results import (
    FAILED,
    LEFT_OUT,
    WRONG,
    Emulation,
    FedRow,
    Feeding,
    Report,
    Row,
    Table,
)
from fastfeed.cli.bench_table import emulation_parts, table_parts

MACHINE = {
    "cpu": {"brand": "A CPU", "usable": 2}, "memory_gib": 8, "kernel": "6", "python": "3.11",
    "packages": {"numpy": "2"},
}  # fmt: skip
SETTINGS = {
    "command": "fastfeed bench", "begun": "2026-11-21", "load_before": 0.1, "load_after": 0.2,
    "workers": 2, "queue": 10,
}  # fmt: skip


def table() -> Table:
    """A table with a row of every kind; fastfeed is not the first."""
    quick = Row("plain", batches=16, seconds=[0.001, 0.004, 0.002], cpu_seconds=[0.002] * 3)
    slow = Row(
        "fastfeed-threads", batches=16, seconds=[0.0123456, 0.2], cpu_seconds=[0.5, 0.25],
        peak_bytes=1_234_567_890, first_batch_seconds=[3.0, 1.0],
    )  # fmt: skip
    return Table(
        "rows", "small rows: 32x16 float32", 1_000_000, True, 0.00001, 2e9, 0.0,
        [
            Row("fastfeed", WRONG, "batch 3 has other contents than the source gives"),
            Row("grain-processes", LEFT_OUT, "not installed (pip install grain)"),
            slow, quick, Row("torch", FAILED, "ValueError: " + "a long reason " * 9),
        ],
    )  # fmt: skip


def emulation() -> Emulation:
    """Two loaders that feed, and one that is not there."""
    tried = [Feeding(1, [0.99, 0.97]), Feeding(2, [0.95]), Feeding(4, [0.5, 0.52])]
    rows = [
        FedRow("plain", tried=[Feeding(1, [0.2])]),
        FedRow("torch", LEFT_OUT, "not installed (pip install torch)"),
        FedRow("fastfeed", tried=tried, fed=2),
        FedRow("fastfeed-fill", reason="no time to try more", tried=tried[:2], fed=2),
    ]
    return Emulation("resnet50-h100", 400, 75264, 150528, 0.224, 0.9, rows)


def report() -> Report:
    """All of it."""
    return Report(MACHINE, SETTINGS, [table()], [emulation()])


@pytest.mark.parametrize("columns", [20, 40, 79, 80, 100])
def test_no_line_is_wider_than_the_screen(columns: int) -> None:
    shown = {
        "".join(text for text, _ in table_parts(table(), columns)): table().rows,
        "".join(text for text, _ in emulation_parts(emulation(), columns)): emulation().rows,
    }
    for text, rows in shown.items():
        assert max(map(len, text.splitlines())) <= columns
        assert all(row.loader in text for row in rows)


def test_a_wide_table_has_every_row_with_the_fastest_first() -> None:
    lines = "".join(text for text, _ in table_parts(table(), 100)).splitlines()
    heads = [line.split()[0] for line in lines[4:] if line and not line.startswith(" ")]
    assert heads[:2] == ["plain", "fastfeed-threads"]
    assert {"fastfeed", "grain-processes", "torch"} <= set(heads)
    assert "500" in lines[4] and "250 to 1,000" in lines[4] and "0.25" in lines[4]
    assert "wrong: batch 3 has other contents" in "\n".join(lines)


def test_the_page_tells_losses_like_wins() -> None:
    page = as_markdown(report())
    assert "| plain | 500 | 250 to 1,000 | 3 | 500 | 0.25 | 2 | 0 | <0.001 |" in page
    assert page.index("| plain |") < page.index("| fastfeed-threads |")
    assert "| fastfeed | wrong: batch 3 has other contents than the source gives |" in page
    assert "| grain-processes | not installed (pip install grain) |" in page
    assert "75,264 bytes (scaled down from 150,528)" in page
    assert "| fastfeed-fill | at least 2 | 98 % (97 to 99, n 2) | 95 % (95 to 95, n 1) |" in page
    assert "| plain | 0 | 20 % (20 to 20, n 1) |" in page
    assert "Interrupted" not in page
    assert "**Interrupted**" in as_markdown(replace(report(), interrupted=True))


def test_every_line_of_a_table_of_the_page_has_as_many_columns() -> None:
    for block in as_markdown(report()).split("\n\n"):
        widths = {line.count("|") for line in block.splitlines() if line.startswith("|")}
        assert len(widths) <= 1, block


def test_json_has_every_round() -> None:
    found = json.loads(as_json(report()))
    rows = {row["loader"]: row for row in found["tables"][0]["rows"]}
    assert rows["plain"]["seconds"] == [0.001, 0.004, 0.002]
    assert rows["torch"]["status"] == "failed"
    assert found["emulations"][0]["rows"][2]["tried"][2]["utilization"] == [0.5, 0.52]


def test_only_what_was_measured_is_drawn() -> None:
    rows = {row["loader"]: row for row in picture_rows(report())}
    assert rows.keys() == {"plain", "fastfeed-threads"}
    assert rows["plain"]["copy_limit_ratio"] == 0.25


def test_a_failure_or_a_wrong_batch_is_not_sound() -> None:
    assert not report().is_sound
    left_out = Table("rows", "", 1, True, rows=[Row("one", LEFT_OUT), Row("two")])
    assert Report({}, {}, [left_out]).is_sound
    failed = Emulation("a", 1, 1, 1, 1.0, 0.9, [FedRow("one", FAILED)])
    assert not Report({}, {}, [left_out], [failed]).is_sound


def test_numbers_are_short() -> None:
    assert [rate(value) for value in (3.14159, 98.44, 2874.2, 401178, 3088245)] == [
        "3.14", "98.4", "2,874", "401k", "3.09M",
    ]  # fmt: skip
    assert [short(value) for value in (0.0000321, 0.234, 12.3, 140.4)] == [
        "<0.001", "0.23", "12", "140",
    ]  # fmt: skip
    assert [size(value) for value in (12, 2048, 4816896)] == ["12 bytes", "2.05 kB", "4.82 MB"]
    assert percent([0.5, 0.9, 0.7]) == "70 % (50 to 90, n 3)"
