"""The answer as a screen of any width shows it, and as Markdown."""

from __future__ import annotations

import argparse
import dataclasses

import pytest
from unit_tuning import blocks, point, waiting

from fastfeed.cli import main
from fastfeed.cli import tune as command
from fastfeed.cli.tune_text import answer
from fastfeed.monitor.words import duration
from fastfeed.tuning.markdown import markdown
from fastfeed.tuning.result import Ended, TuneResult
from fastfeed.tuning.words import rate

RESULT = TuneResult(
    "m:s",
    12,
    140,
    "batch times",
    "Fed: 12 workers feed the step of 35.1 ms; 0.4 % of the time is waiting.",
    points=(waiting(1), waiting(16), point(0, 1e-5, cpu=float("nan"))),
    blocks=tuple(blocks({12: [0.035] * 3, 13: [0.035] * 3})),
    warnings=("No more than 7 batches were measured with any number of workers.",),
    slot_bytes=4096,
)


def shown(columns: int, result: TuneResult = RESULT) -> str:
    return "".join(text for text, _ in answer(result, columns))


def test_a_table_leaves_out_what_is_no_longer_room_for() -> None:
    wide = dataclasses.replace(RESULT, points=(point(16, 0.0123456, cpu=1.0, rate=123456.7),))
    assert "MB/s" in shown(80, wide)
    assert "CPU" in shown(41, wide) and "MB/s" not in shown(38, wide)
    assert max(map(len, shown(30, wide).splitlines())) <= 40  # the line to paste


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_no_line_is_wider_than_the_screen(columns: int) -> None:
    assert max(map(len, shown(columns).splitlines())) <= columns


def test_it_has_the_line_to_paste_alone_on_a_line() -> None:
    assert "\n    workers=12, max_queue_size=140\n" in shown(40)


def test_columns_are_aligned() -> None:
    head, *rows = shown(80).split("Workers alone\n")[1].split("\n\n")[0].splitlines()
    assert head.split() == ["workers", "batches/s", "make", "CPU", "MB/s"]
    assert [row.split()[0] for row in rows] == ["0", "1", "16"]
    assert len({len(line) for line in [head, *rows]}) == 1


def test_an_answer_that_ended_early_says_so() -> None:
    early = dataclasses.replace(RESULT, ended=Ended.INTERRUPTED, error="Interrupted.")
    assert "The answer so far: Fed" in shown(80, early)
    assert "It ended early (interrupted). Interrupted." in markdown(early)


def test_markdown_has_the_verdict_the_line_and_all_tables() -> None:
    text = markdown(dataclasses.replace(RESULT, batch_size=32))
    assert text.startswith("# fastfeed tune m:s\n\nFed: 12 workers")
    assert "fastfeed.Loader(source, batch_size=32, workers=12, max_queue_size=140)" in text
    assert "fit_generator(model, source, workers=12, max_queue_size=140)" in text
    assert "| 16 | 800 | 792 to 808 | 800 | 50.0 % | 20 ms |" in text
    assert text.count("| 12 | 140 |") == 0 and text.count("| 12 | 8 | 100 | 35 ms |") == 3
    assert "* No more than 7 batches" in text
    widths = {
        line.count("|") for line in text.split("## Workers alone")[1].split("##")[0].split("\n")
    }
    assert widths == {0, 10}


def test_markdown_of_nothing() -> None:
    text = markdown(TuneResult("a|b", 2, 4, "default", "Nothing."))
    assert "| waiting, measured | not known |" in text
    assert "Workers alone" not in text


@pytest.mark.parametrize(
    ("seconds", "text"), [(2.5, "2.5 s"), (0.0351, "35.1 ms"), (1.2e-5, "12 us"), (0.0, "0 us")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("per_second", "text"),
    [(30.386, "30.39"), (999.1, "999.1"), (999.9, "1,000"), (34911.4, "34,911")],
)
def test_rates(per_second: float, text: str) -> None:
    assert rate(per_second) == text


@pytest.mark.parametrize(
    ("text", "size"), [("512M", 512 << 20), ("1.5 GiB", 3 << 29), ("2g", 2 << 30), ("4096", 4096)]
)
def test_sizes(text: str, size: int) -> None:
    assert command.n_bytes(text) == size


@pytest.mark.parametrize("text", ["", "2X", "-1", "0", "nan", "1e9"])
def test_no_sizes(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="not a size such as 512M or 2G"):
        command.n_bytes(text)


@pytest.mark.parametrize("text", ["", "-1", "nan", "inf", "1s"])
def test_no_milliseconds(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="not a number of milliseconds"):
        command.milliseconds(text)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--budget", "0"], "not a number of seconds from 1"),
        (["--step-ms", "-1"], "not a number of milliseconds"),
        (["--step-ms", "1", "--step", "m:step"], "not allowed with"),
        (["--batch-size", "0"], "not a whole number above 0"),
        (["--ranks", "two"], "not a whole number above 0"),
        ([], "required: MODULE:SOURCE"),
    ],
)
def test_wrong_options(options: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["tune", *(["m:source"] if options else []), *options])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_the_help_is_complete(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main(["tune", "--help"])
    output = capsys.readouterr().out
    options = "--step --step-ms --batch-size --memory --ranks --threads --framework --device"
    assert all(f"{option} " in output for option in f"{options} --budget --out --json".split())
    assert max(map(len, output.splitlines())) <= 80
