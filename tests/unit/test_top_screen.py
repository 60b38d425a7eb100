"""What ``fastfeed top`` draws and writes, of pictures that are given."""

from __future__ import annotations

import io
import json
import re

import pytest
from rich.cells import cell_len
from rich.console import Console
from unit_pictures import VERDICT, loader, picture, worker

from fastfeed.cli.top import _chosen
from fastfeed.monitor.journal import MonitorError
from fastfeed.top.lines import as_json, lines
from fastfeed.top.screen import Screen
from fastfeed.top.watch import Job, Picture

COLOUR = re.compile(r"\x1b\[[\d;]*m")
MANY = picture(
    loader(workers=[worker(number, "making" if number % 3 else "idle") for number in range(40)]),
    loader(name="Sequence Validation", workers=[worker(0, "idle")]),
)
TROUBLE = picture(
    loader(
        waiting_seconds=2.3,
        replaced=2,
        workers=[
            worker(0, making_seconds=8.3, grows_bytes_per_second=2e6),
            worker(1, "absent", pid=0, busy_ratio=None, private_bytes=None),
            worker(2, "gone", private_bytes=None),
        ],
    )
)


def drawn(
    shown: Picture, columns: int = 80, height: int | None = None, encoding: str = "utf-8",
    colours: bool = False,
) -> list[str]:  # fmt: skip
    """Return the lines of a screen."""
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(
        file=file, width=columns, height=height, force_terminal=colours, no_color=not colours,
        color_system="standard" if colours else None,
    )  # fmt: skip
    console.print(Screen(shown, fits=height is not None))
    file.seek(0)
    return [line.rstrip() for line in file.read().splitlines()]


@pytest.mark.parametrize("columns", [40, 64, 80, 120])
@pytest.mark.parametrize("shown", [MANY, TROUBLE], ids=["many", "trouble"])
def test_no_line_is_wider_than_the_terminal(shown: Picture, columns: int) -> None:
    assert max(map(cell_len, drawn(shown, columns))) <= columns


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_everything_is_said_whatever_the_width(columns: int) -> None:
    said = " ".join(" ".join(drawn(TROUBLE, columns)).split())
    for text in (
        "12345 python", "Sequence Photos", "epoch 3, 4 min 03 s", VERDICT,
        "31.0 batches/s, 149 MB/s", "step 23 ms", "making a batch 110 ms",
        "first batch after 1.2 s",
        "38 % of the last 10 s, now for 2.3 s", "production 30 %", "order 6 %", "upload 2 %",
        "4 of 10", "8.3 s !", "gone", "1 of 3 places for workers are empty", "97 %",
        "210.0 MiB",
        "worker 0: its memory grows 114 MiB/min", "2 workers ended, and others took their places",
    ):  # fmt: skip
        assert text in said


def test_a_wide_screen_has_process_numbers_and_rates() -> None:
    text = "\n".join(drawn(TROUBLE, 80))
    assert re.search(r"0 +making #1200 for 8.3 s ! +97 % +7.80 +210.0 MiB +4000$", text, re.M)
    assert re.search(r"2 +gone +97 % +7.80 +- +4002$", text, re.M)
    assert "3.00 GiB resident" in text
    assert "4000" not in "\n".join(drawn(TROUBLE, 40))


def test_bars_show_shares_without_colour() -> None:
    bars = [line for line in drawn(picture(loader()), 80) if "·" in line]
    assert [len(re.findall(shade, bars[0])) for shade in "█▓░·"] == [12, 2, 1, 25]
    assert [len(re.findall(shade, bars[1])) for shade in "█·"] == [13, 19]  # 4 of 10


def test_a_share_that_is_small_is_to_be_seen_and_all_of_it_fits() -> None:
    shares = {"waiting_ratio": 1.0, "production_ratio": 0.002, "order_ratio": 0.998}
    waiting = next(line for line in drawn(picture(loader(**shares)), 80) if "█▓" in line)
    assert waiting.strip() == "█" + "▓" * 39
    assert "█ production <1 %  ▓ order 100 %" in "\n".join(drawn(picture(loader(**shares)), 80))


def test_a_terminal_that_has_only_ascii() -> None:
    text = "\n".join(drawn(TROUBLE, 50, encoding="ascii"))
    assert text.isascii()
    assert "#" * 10 in text
    assert "= order 6 %" in text


def test_with_and_without_colours_the_same_is_said() -> None:
    coloured = drawn(TROUBLE, colours=True)
    assert any(COLOUR.search(line) for line in coloured)
    assert [COLOUR.sub("", line).rstrip() for line in coloured] == drawn(TROUBLE)


@pytest.mark.parametrize("height", [24, 30, 50])
def test_many_workers_are_summed_up_where_there_is_no_room(height: int) -> None:
    found = drawn(MANY, height=height)
    assert len(found) <= height
    rows = [line for line in found if "making #" in line]
    (rest,) = (line for line in found if re.match(r"\d+ (more|workers): ", line))
    counted = {state: int(count) for count, state in re.findall(r"(\d+) (making|idle)", rest)}
    assert counted["making"] == 26 - len(rows)
    assert "Sequence Validation" in "\n".join(found)


def test_room_for_all_workers_is_used() -> None:
    assert sum("making #" in line for line in drawn(MANY, height=200)) == 26
    assert sum("making #" in line for line in drawn(MANY)) == 26


def test_threads_have_no_memory_of_their_own() -> None:
    threads = [worker(number, rss_bytes=None, private_bytes=None) for number in range(2)]
    text = "\n".join(drawn(picture(loader(workers=threads))))
    assert "making #1201 for 83 ms" in text
    assert "memory" not in text and "pid" not in text


def test_a_loader_that_has_given_nothing_yet() -> None:
    nothing = {"step_seconds": None, "make_seconds": None, "first_batch_seconds": None}
    text = "\n".join(drawn(picture(loader(batches=0, **nothing))))
    assert "no batch yet" in text
    assert "epoch" not in text


def test_workers_that_take_long_to_start() -> None:
    waiting = loader(batches=0, workers=[worker(number, "absent", pid=0) for number in range(3)])
    assert "no worker has started yet" in drawn(picture(waiting))


def test_a_job_between_two_loaders() -> None:
    assert "No loader is open in this process now." in drawn(picture())
    assert next(lines(picture())).endswith(" no loader is open")


def test_a_line_a_loader() -> None:
    first, second = lines(MANY)
    assert re.match(r"\d\d:\d\d:\d\d Sequence Photos: 31\.0 batches/s, 149 MB/s; ", first)
    assert "waiting 38 % (production 30 %, order 6 %, upload 2 %); step 23 ms; " in first
    assert first.endswith(f"4 of 10 ready; workers: 26 making, 14 idle; {VERDICT}")
    assert "Sequence Validation: " in second


def test_the_line_names_what_is_unusual() -> None:
    (line,) = lines(TROUBLE)
    for text in (
        "waits for 2.3 s now", "worker 0 making #1200 for 8.3 s",
        "worker 0: its memory grows 114 MiB/min",
        "1 making, 1 gone, 1 absent", "2 workers ended, and others took their places",
    ):  # fmt: skip
        assert f"{text}; " in line


def test_json_is_one_line_with_all_values() -> None:
    text = as_json(TROUBLE)
    assert "\n" not in text
    found = json.loads(text)
    assert found["pid"] == 12345
    assert found["loaders"][0]["waiting_ratio"] == 0.38
    assert found["loaders"][0]["workers"][1]["busy_ratio"] is None


# -- which job, where none is named ------------------------------------------------------------

ONE = Job(7, "python train.py", ["Photos"])


def test_the_only_job_is_taken() -> None:
    assert _chosen([ONE], is_json=False) == 7


def test_several_jobs_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert _chosen([ONE, Job(12345, "python other.py", ["Words", "Dev"])], is_json=False) is None
    listed = capsys.readouterr().out.splitlines()
    assert "fastfeed top PID" in listed[0]
    assert listed[1:] == [
        "       7  python train.py  (Photos)",
        "   12345  python other.py  (Words, Dev)",
    ]


def test_no_job_is_said() -> None:
    with pytest.raises(MonitorError, match="No process of this user has a loader open"):
        _chosen([], is_json=True)
