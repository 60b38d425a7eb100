"""Spans of time from records: nothing is lost, counted twice, or put into another window."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit_records import MS, START_NS, simulated, times

from fastfeed.monitor.journal import RECORD, Records
from fastfeed.pictures.spans import Spans, level, make_seconds, seconds, spent, uses, windows

RUNS = {
    "one worker": simulated([20] * 40, 30, workers=1, ahead=4),
    "input-bound": simulated(times(200, 60, 0.3), 10, workers=2, ahead=6),
    "tail": simulated([15, 15, 15, 300] * 30, 12, workers=3, ahead=5),
    "device, two passes": simulated(
        times(100, 80, 0.8), 30, workers=4, ahead=8, upload_ms=12, epochs=2, between_ms=900
    ),
    "one batch": simulated([20], 30, workers=1, ahead=10),
    "none": np.zeros(0, RECORD),
}
runs = pytest.mark.parametrize("records", RUNS.values(), ids=RUNS)


@runs
def test_every_moment_has_one_use(records: Records) -> None:
    used = uses(records)
    parts = [used.compute, used.production, used.order, used.upload]
    spans = [
        (start, stop) for part in parts for start, stop in zip(part.starts, part.stops, strict=True)
    ]
    spans = sorted(span for span in spans if span[0] < span[1])
    for (_, stop), (start, _) in pairwise(spans):
        assert start >= stop - 1e-12
    passes = np.diff(records["epoch"].astype(int)) > 0
    outside = (records["asked_ns"][1:] - records["answered_ns"][:-1])[passes].sum()
    whole = records["answered_ns"][-1] - records["asked_ns"][0] if records.size else 0
    covered = sum(stop - start for start, stop in spans)
    assert covered == pytest.approx((whole - outside) * 1e-9, abs=1e-9)


@runs
def test_waits_have_the_lengths_that_were_recorded(records: Records) -> None:
    used = uses(records)
    assert used.order.lengths == pytest.approx(records["order_wait_ns"] * 1e-9, abs=1e-12)
    assert used.upload.lengths == pytest.approx(records["upload_wait_ns"] * 1e-9, abs=1e-12)
    waits = (records["answered_ns"] - records["asked_ns"]) * 1e-9
    found = used.production.lengths + used.order.lengths + used.upload.lengths
    assert found == pytest.approx(waits, abs=1e-12)


def test_a_wait_is_for_production_then_order_then_upload() -> None:
    record = np.zeros(1, RECORD)
    record["asked_ns"], record["answered_ns"] = START_NS, START_NS + 10 * MS
    record["order_wait_ns"], record["upload_wait_ns"] = 3 * MS, 2 * MS
    used = uses(record)
    found = [(part.starts[0], part.stops[0]) for part in (used.production, used.order, used.upload)]
    assert found == [
        pytest.approx((0, 0.005)),
        pytest.approx((0.005, 0.008)),
        pytest.approx((0.008, 0.010)),
    ]


def test_a_nanosecond_counts_after_years_without_a_restart() -> None:
    record = np.zeros(1, RECORD)
    record["asked_ns"], record["answered_ns"] = 10**18, 10**18 + 1
    assert seconds(record, "answered_ns").tolist() == [1e-9]


def test_what_nobody_made_has_no_time() -> None:
    records = simulated([20, 30, 40], 5, workers=1, ahead=2)
    records["started_ns"][1] = records["made_ns"][1] = 0  # as for an item that killed its workers
    assert make_seconds(records) == pytest.approx([0.020, 0.040])


POINTS = st.lists(
    st.floats(0, 10, allow_subnormal=False), min_size=2, max_size=40, unique=True
).map(sorted)


@given(POINTS, st.integers(1, 12))
def test_windows_share_out_all_time_that_was_spent(points: list[float], number: int) -> None:
    even = np.array(points[: len(points) // 2 * 2])
    spans = Spans(even[::2], even[1::2])
    edges = windows(10.0, number)
    expected = [
        sum(
            max(0.0, min(stop, last) - max(start, first))
            for start, stop in zip(even[::2], even[1::2], strict=True)
        )
        for first, last in pairwise(edges)
    ]
    assert spent(spans, edges) == pytest.approx(expected, abs=1e-9)


STAYS = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 30)), max_size=25)


@given(STAYS, st.integers(1, 8))
def test_the_level_is_how_many_came_and_did_not_go(
    stays: list[tuple[int, int]], number: int
) -> None:
    came = np.array([start for start, _ in stays], float)
    went = np.array([start + length for start, length in stays], float)
    edges = windows(80.0, number)
    found = level(came, went, edges)
    for place in range(number):
        # The level changes at whole numbers and edges only, so between two of them it is constant.
        inner = np.unique([*np.arange(81.0), *edges])
        inner = inner[(inner >= edges[place]) & (inner <= edges[place + 1])]
        middles = (inner[1:] + inner[:-1]) / 2
        counts = [np.sum((came <= at) & (went > at)) for at in middles]
        assert found.least[place] == min(counts)
        assert found.most[place] == max(counts)
        assert found.mean[place] == pytest.approx(np.average(counts, weights=np.diff(inner)))


def test_a_window_cuts_what_reaches_beyond_it() -> None:
    spans = Spans(np.array([0.0, 1.0, 2.5]), np.array([0.99, 2.0, 3.0]))
    cut = spans.within(0.5, 2.7)
    assert (cut.starts.tolist(), cut.stops.tolist()) == ([0.5, 1.0, 2.5], [0.99, 2.0, 2.7])
    assert spans.within(5, 6).starts.size == 0
