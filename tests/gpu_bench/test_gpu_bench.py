"""The GPU benchmark where there is no GPU: parts that fail or hang, and what is written down."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from bench.gpu import report
from bench.gpu.__main__ import parse_arguments
from bench.gpu.bars import Bar, bars
from bench.gpu.names import ALLOCATED, REGISTERED, REGISTRATION, batches_of, copies_of
from bench.gpu.record import Entry, NotMeasuredError, Record, find, ratio, read
from bench.gpu.rivals import FILL, ITEM
from bench.gpu.runner import run, run_part
from bench.gpu.settings import REHEARSAL

RAISING = """
def measure(settings, record):
    record("group", "first", "s", [1.0, 2.0], workers=settings.workers)
    with record.attempt("group", "second"):
        raise ValueError("of the second")
    raise OSError("of the part")
"""

HANGING = """
import subprocess, sys, time
def measure(settings, record):
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"],
                               start_new_session=True)
    record("group", "first", "s", [1.0], pid=sleeper.pid)
    time.sleep(600)
"""


@pytest.fixture
def part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a part of which the text is given."""

    def run_text(text: str, limit: float) -> Any:
        (tmp_path / "some_part.py").write_text(text)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        return run_part("some_part", REHEARSAL, limit, tmp_path)

    return run_text


def page_of(tmp_path: Path, entries: list[Entry], **broken: Any) -> str:
    """Return the report of a run with one part."""
    about = {
        "at": "today", "command": "test", "commit": "none", "card": {"name": "Some Card"},
        "cpu": {"brand": "CPU", "usable": 1}, "memory_gib": 1, "numa_nodes": 1, "kernel": "6",
        "memlock_bytes": 0, "shmem_huge_pages": "never", "python": "3", "packages": {},
        "load_average": {"start": [0], "end": [0]},
    }  # fmt: skip
    part = {"error": "", "output": "", "seconds": 1.0, "limit": 2.0} | broken
    part["entries"] = [asdict(entry) for entry in entries]
    settings = asdict(REHEARSAL) | {"device": "cuda", "workers": 8}
    file = tmp_path / "run.json"
    run = {"about": about, "settings": settings, "seconds": 1.0, "parts": {"one": part}}
    file.write_text(json.dumps(run))
    return report.write(file).read_text()


def line_of(page: str, beginning: str) -> str:
    """Return the one line that begins like this."""
    (line,) = [line for line in page.splitlines() if line.startswith(beginning)]
    return line


def test_a_part_that_raises_keeps_what_it_had(part: Any) -> None:
    outcome = part(RAISING, 30.0)
    assert outcome.error == "ended with status 1"
    assert "OSError: of the part" in outcome.output
    first, second = outcome.entries
    assert (first.rounds, first.extra) == ([1.0, 2.0], {"workers": REHEARSAL.workers})
    assert (second.name, second.rounds) == ("second", [])
    assert "ValueError: of the second" in second.failure


def test_a_part_that_hangs_is_ended_with_what_it_started(part: Any) -> None:
    outcome = part(HANGING, 4.0)
    assert outcome.error == "no end within 4 s"
    assert "some_part.py" in outcome.output  # where it hung
    (entry,) = outcome.entries
    until = time.monotonic() + 10
    while is_alive(entry.extra["pid"]) and time.monotonic() < until:
        time.sleep(0.01)
    assert not is_alive(entry.extra["pid"])


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_the_end_of_what_a_command_says_is_kept() -> None:
    outcome = run(["sh", "-c", "yes | head -c 100000; echo the end; exit 3"], 30.0)
    assert outcome.error == "ended with status 3"
    assert outcome.output.endswith("the end\n")
    assert len(outcome.output) < 10_000


def test_half_a_line_counts_for_nothing(tmp_path: Path) -> None:
    file = tmp_path / "part.jsonl"
    Record(file)("group", "whole", "s", [1])
    file.write_text(file.read_text() + '{"group": "group", "name": "ha')
    assert [entry.name for entry in read(file)] == ["whole"]
    assert read(tmp_path / "never written") == []


def test_a_ratio_is_formed_in_each_round() -> None:
    drifting = ratio(Entry("", "", "", [2, 4, 8]), Entry("", "", "", [1, 2, 4]))
    assert (drifting.median, drifting.lowest, drifting.highest) == (2, 2, 2)
    uneven = ratio(Entry("", "", "", [1, 2, 9]), Entry("", "", "", [1, 1, 3]))
    assert (uneven.median, uneven.lowest, uneven.highest) == (2, 1, 3)


def test_what_failed_was_not_measured() -> None:
    failed = Entry("group", "name", failure="why")
    with pytest.raises(NotMeasuredError, match=r"name \(group\)"):
        find({("group", "name"): failed}, "group", "name")


@pytest.mark.parametrize(
    "rate, verdict", [(48.0, "0.96 x | 0.96 to 0.96 | met |"), (47.0, "**missed** |")]
)
def test_a_bar_is_met_or_missed(tmp_path: Path, rate: float, verdict: str) -> None:
    group = copies_of("19.3 MB")
    entries = [
        Entry(group, REGISTERED, "GB/s", [rate] * 3),
        Entry(group, ALLOCATED, "GB/s", [50.0] * 3),
    ]
    page = page_of(tmp_path, entries)
    assert line_of(page, "| H2D from slots").endswith(verdict)
    assert "not measured: no contestant" in line_of(page, "| host copies")


def test_host_copies_count_from_the_first_round_on(tmp_path: Path) -> None:
    def entry(name: str, copies: int) -> Entry:
        about = {"uploads_before": 10, "uploads": 90, "host_copies_before": 1}
        extra = about | {"host_copies": copies, "bytes_a_batch": 1, "cpu_seconds_a_batch": [0.0]}
        return Entry(batches_of("uint8", 8), name, "batches/s", [1.0], extra)

    clean = page_of(tmp_path, [entry(FILL.name, 1), entry(ITEM.name, 1)])
    assert line_of(clean, "| host copies").endswith("| met |")
    one = page_of(tmp_path, [entry(FILL.name, 1), entry(ITEM.name, 2)])
    assert line_of(one, "| host copies").endswith("| 1 copies | 0 to 1 | **missed** |")


def test_every_line_of_the_issue_has_a_bar() -> None:
    bounds = {(bar.sign, bar.bound) for bar in bars(8) if bar.sign}
    assert bounds == {(">=", 0.95), ("<=", 0), (">=", 3), (">=", 0.98), ("<", 10)}
    assert all(isinstance(bar, Bar) for bar in bars(8))


def test_a_table_that_cannot_be_written_leaves_the_others(tmp_path: Path) -> None:
    without_extra = Entry(REGISTRATION, "4 KiB pages", "s/GB", [0.1])
    copies = Entry(copies_of("64 MB"), ALLOCATED, "GB/s", [50.0])
    page = page_of(
        tmp_path, [without_extra, copies], error="no end within 2 s", output="last words"
    )
    assert "KeyError: 'unregister'" in page
    assert "## H2D, copies of 64 MB" in page
    assert "The part **one**: no end within 2 s" in page
    assert "last words" in page


@pytest.mark.parametrize("out", [[], ["--out", "bench/results"], ["--out", "bench/results/deeper"]])
def test_a_rehearsal_is_not_kept(out: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_arguments(["--rehearse", *out])
    assert "not bench/results" in capsys.readouterr().err


def test_torchs_augmentation_is_the_same_work() -> None:
    torch = pytest.importorskip("torch")
    from bench.gpu.augment import OfTorch
    from bench.gpu.training import MEAN, STD
    from fastfeed.devices import transforms as T  # noqa: N812
    from fastfeed.devices.transforms.draws import Draws, batch_key

    images, side, crop = 5, 12, 8
    batch = np.random.default_rng(0).integers(0, 256, (images, side, side, 3), np.uint8)
    ops = [T.RandomCrop(crop, crop), T.RandomFlip(), T.Normalise(MEAN, STD), T.ChannelsFirst()]
    augment = T.Augment([*ops, T.Cast("float16")])
    (expected,) = augment.on_host((batch,), seed=1, epoch=2, index=3)

    draws, room = Draws(batch_key(1, 2, 3), images), side - crop + 1
    windows, flips = draws.of(0), draws.of(1) >> np.uint64(32) < np.uint64(1 << 31)
    tops = (windows >> np.uint64(32)) * np.uint64(room) >> np.uint64(32)
    lefts = (windows & np.uint64(2**32 - 1)) * np.uint64(room) >> np.uint64(32)
    columns = [torch.from_numpy(v.astype(np.int64))[:, None] for v in (tops, lefts)]
    result = OfTorch("cpu", images, side, crop).apply(
        torch.from_numpy(batch), *columns, torch.from_numpy(flips)[:, None]
    )
    assert result.is_contiguous()
    np.testing.assert_array_equal(result.numpy(), expected)
