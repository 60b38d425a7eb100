"""Traces: every event by the rules of the format, and what they say is what happened."""

from __future__ import annotations

import json
import os
import time
from itertools import pairwise

import numpy as np
import pytest
from trace_rules import read

import fastfeed
from fastfeed._core import CRASHED, EXCEPTION
from fastfeed.errors import ArgumentError, FastFeedError
from fastfeed.monitor.journal import RECORD
from fastfeed.monitor.trace import TraceError, write_trace

MS = 1_000_000


class Named:
    """Stands for a view where the records are written by hand."""

    pid, name = 4711, 'pictures of "cats"'

    def __init__(self, records):
        self._records = records

    def workers(self):
        return []

    def records(self, since=0):
        return self._records


def batch(sequence, made, asked, answered, **others):
    """Return a record of an item that was posted at 0 and made in 2 ms; times in ms."""
    record = np.zeros(1, RECORD)
    record["sequence"] = record["index"] = record["worker"] = sequence
    record["posted_ns"] = MS
    for name, at in {
        "made": made,
        "started": made - 2,
        "asked": asked,
        "answered": answered,
    }.items():
        record[f"{name}_ns"] = int(at * MS)
    for name, value in others.items():
        record[name] = int(value * MS) if name.endswith("_ns") else value
    return record


def traced(path, *records):
    write_trace(Named(np.concatenate(records)), path)
    return read(path)


class Items:
    def __len__(self):
        return 30

    def __getitem__(self, index):
        if index % 10 == 3:
            time.sleep(0.002)
        return np.full(8, index)


@pytest.mark.parametrize("name", ["t.json", "t.json.gz"])
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("ordered", [True, False])
def test_each_batch_of_two_epochs_is_made_once_and_on_its_way(name, workers, ordered, tmp_path):
    path = tmp_path / name
    options = {"use_multiprocessing": False, "max_queue_size": 4, "ordered": ordered}
    with fastfeed.Loader(Items(), workers=workers, **options) as loader:
        for _ in range(2):
            for _ in loader:
                pass
    assert loader.trace(path) == 60, "what is over can still be seen"
    trace = read(path)
    assert trace.groups == [f"fastfeed: Items, process {os.getpid()}"]
    made = trace.named("make #")
    assert sorted((one.args["epoch"], one.name) for one in made) == sorted(
        (epoch, f"make #{index}") for epoch in (0, 1) for index in range(30)
    )
    lanes = {one.lane for one in made}
    assert lanes <= {f"0: worker {worker}" for worker in range(max(1, workers))}
    assert next(iter(trace.lanes)) == "0: consumer"
    assert len(trace.named("step")) == 58, "between two batches of an epoch"
    for way in trace.arrows:
        assert way[0].lane in lanes and way[-1].lane == "0: consumer"
        assert way[0].end <= way[-1].end
        assert way[0].args["ticket"] == way[-1].args["ticket"]
    assert len(trace.arrows) >= 58
    assert trace.about["batches"] == "60" and trace.about["batches_lost"] == "0"


def test_the_wait_has_the_name_of_its_main_cause(tmp_path):
    trace = traced(
        tmp_path / "t.json",
        batch(0, 4, 1, 5),
        batch(1, 4, 6, 10, order_wait_ns=3),
        batch(2, 4, 11, 15, order_wait_ns=1, upload_wait_ns=3),
        batch(3, 4, 16, 16),
    )
    waits = trace.named("wait")
    assert [wait.name for wait in waits] == ["wait: production", "wait: order", "wait: upload"]
    causes = ("production_us", "order_us", "upload_us")
    assert [float(waits[1].args[cause]) for cause in causes] == [1000, 3000, 0]
    assert [step.start for step in trace.named("step")] == [5000, 10000, 15000]


def test_uploads_have_a_lane_and_copies_that_are_issued_ahead_follow_each_other(tmp_path):
    trace = traced(
        tmp_path / "t.json",
        batch(0, 4, 1, 20, upload_ns=5, uploaded_ns=9),
        batch(1, 5, 21, 22, upload_ns=6, uploaded_ns=12),
        batch(2, 6, 23, 24, upload_ns=23, uploaded_ns=26),  # handed out while it is copied
        batch(3, 7, 25, 26),  # not known to be done
    )
    copies = trace.lanes["0: upload"]
    assert [(one.start, one.end) for one in copies] == [(5000, 9000), (9000, 12000), (23000, 26000)]
    ways = [[one.lane.partition(": ")[2] for one in way] for way in trace.arrows]
    assert ways == [
        ["worker 0", "upload", "consumer"],
        ["worker 1", "upload", "consumer"],
        ["worker 2", "upload", "consumer"],
        ["worker 3", "consumer"],
    ]


def test_exceptions_and_crashes_are_named(tmp_path):
    trace = traced(
        tmp_path / "t.json",
        batch(0, 4, 1, 5),
        batch(1, 5, 6, 7, kind=EXCEPTION),
        batch(2, 0, 8, 30, kind=CRASHED, started_ns=0, worker=0xFFFF, attempt=3),
    )
    assert [one.name for one in trace.named("make")] == ["make #0", "make #1 (exception)"]
    assert [one.name for one in trace.named("wait")] == ["wait: production"] * 3
    assert list(trace.lanes) == ["0: consumer", "0: worker 0", "0: worker 1"]


def test_no_step_reaches_over_the_end_of_an_epoch(tmp_path):
    trace = traced(tmp_path / "t.json", batch(0, 4, 1, 5), batch(1, 5, 9, 9, epoch=1))
    assert trace.named("step") == []
    assert [way[-1].name for way in trace.arrows] == ["wait: production"]


def test_counters_count_as_long_as_everything_is_known(tmp_path):
    records = [batch(i, 4 + i, 10 * i + 10, 10 * i + 10, posted_ns=10 * i + 1) for i in range(4)]
    for record in records:
        record["started_ns"] = record["posted_ns"] + MS
        record["made_ns"] = record["posted_ns"] + 3 * MS
    trace = traced(tmp_path / "t.json", *records)
    assert trace.counters == [
        *[(10_000, 0, 0), (11_000, 0, 1), (14_000, 1, 0)],
        *[(20_000, 0, 0), (21_000, 0, 1), (24_000, 1, 0)],
        *[(30_000, 0, 0), (31_000, 0, 1)],
    ]


def test_times_are_exact_after_a_year_without_a_restart(tmp_path):
    """Floating numbers of us would make neighbours overlap by now, and Perfetto drop them."""
    year = 365 * 24 * 3600 * 1000
    records = [batch(i, year + i * 0.000_003, year + i, year + i + 0.333_333) for i in range(1, 60)]
    for before, after in pairwise(records):
        after["asked_ns"] = before["answered_ns"] + 1
    assert len(traced(tmp_path / "t.json", *records).named("step")) == 58


def test_only_the_last_seconds(tmp_path):
    now = time.monotonic_ns() / MS
    old, young = (batch(i, at, at, at + 1) for i, at in enumerate((now - 60_000, now - 100)))
    view = Named(np.concatenate([old, young]))
    assert write_trace(view, tmp_path / "t.json", seconds=30) == 1
    assert [one.name for one in read(tmp_path / "t.json").named("make")] == ["make #1"]


def test_a_loader_that_has_done_nothing_yet(tmp_path):
    with fastfeed.Loader(Items(), workers=1) as loader:
        assert loader.trace(tmp_path / "t.json") == 0
    assert read(tmp_path / "t.json").lanes == {"0: consumer": []}


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_seconds_must_be_positive(seconds, tmp_path):
    with pytest.raises(ArgumentError, match="Received: seconds="):
        write_trace(Named(np.zeros(0, RECORD)), tmp_path / "t.json", seconds)


@pytest.mark.parametrize("name", ["t", "t.txt", "t.gz", "json"])
def test_other_names_are_refused(name, tmp_path):
    with pytest.raises(ArgumentError, match=r"\.json.*Received: "):
        write_trace(Named(np.zeros(0, RECORD)), tmp_path / name)
    assert not any(tmp_path.iterdir())


def test_where_it_cannot_be_written_it_says_so(tmp_path):
    path = tmp_path / "nowhere" / "t.json"
    with pytest.raises(TraceError, match=r"nowhere/t\.json cannot be written: No such file"):
        write_trace(Named(np.zeros(0, RECORD)), path)
    full = tmp_path / "t.json"
    full.symlink_to("/dev/full")
    with pytest.raises(FastFeedError, match="No space left"):
        write_trace(Named(batch(0, 4, 1, 5)), full)


def test_what_was_interrupted_leaves_no_half_of_a_file(tmp_path):
    class Interrupted(Named):
        def workers(self):
            raise KeyboardInterrupt

    path = tmp_path / "t.json"
    with pytest.raises(KeyboardInterrupt):
        write_trace(Interrupted(batch(0, 4, 1, 5)), path)
    assert not path.exists()


def test_the_object_says_how_its_clock_becomes_the_time_of_day(tmp_path):
    traced(path := tmp_path / "t.json", batch(0, 4, 1, 5))
    about = json.loads(path.read_text())["otherData"]
    shifted = int(about["realtime_minus_monotonic_ns"]) + time.monotonic_ns()
    assert abs(shifted - time.time_ns()) < 60e9
