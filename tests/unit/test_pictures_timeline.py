"""Lanes of workers, upload and loop: each bar is where it was recorded."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from unit_figures import lanes, legend, line, spans, texts
from unit_records import MS, START_NS, simulated, times

from fastfeed.monitor.journal import RECORD
from fastfeed.pictures.timeline import timeline_picture

DEVICE = simulated(times(150, 100, 0.8), 30, workers=4, ahead=8, upload_ms=12)


def test_there_is_a_lane_for_each_worker_the_upload_and_the_loop() -> None:
    axes = timeline_picture(DEVICE).axes[0]
    assert lanes(axes) == ["worker 0", "worker 1", "worker 2", "worker 3", "upload", "loop"]
    assert legend(axes) == [
        "make", "upload", "compute", "wait: production", "wait: order", "wait: upload",
    ]  # fmt: skip
    heights = axes.get_yticks()
    assert (np.diff(heights) > 0).all()
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first lane is on top


def test_bars_are_where_batches_were_made_and_copied() -> None:
    axes = timeline_picture(DEVICE, length=100.0).axes[0]
    for worker in range(4):
        own = np.sort(DEVICE[DEVICE["worker"] == worker], order="started_ns")
        expected = np.column_stack((own["started_ns"], own["made_ns"])) - START_NS
        assert spans(axes.collections[worker]) == pytest.approx(expected * 1e-9, abs=1e-9)
    copies = np.column_stack((DEVICE["upload_ns"], DEVICE["uploaded_ns"])) - START_NS
    assert spans(axes.collections[4]) == pytest.approx(copies * 1e-9, abs=1e-9)
    steps = np.column_stack((DEVICE["answered_ns"][:-1], DEVICE["asked_ns"][1:])) - START_NS
    assert spans(axes.collections[5]) == pytest.approx(steps * 1e-9, abs=1e-9)


def test_only_the_window_is_drawn() -> None:
    axes = timeline_picture(DEVICE, start=1.0, length=0.5).axes[0]
    assert axes.get_xlim() == pytest.approx((1.0, 1.5))
    for lane in axes.collections:
        assert spans(lane).min() >= 1.0
        assert spans(lane).max() <= 1.5


def test_the_window_ends_with_the_records() -> None:
    axes = timeline_picture(DEVICE, length=1000.0).axes[0]
    assert axes.get_xlim()[1] == pytest.approx((DEVICE["answered_ns"][-1] - START_NS) * 1e-9)


def test_without_a_device_there_is_no_lane_of_uploads() -> None:
    axes = timeline_picture(simulated([20] * 30, 30, workers=1, ahead=4)).axes[0]
    assert lanes(axes) == ["worker 0", "loop"]
    assert "upload" not in " ".join(legend(axes))


def test_two_hundred_workers_all_have_a_lane_and_some_a_name() -> None:
    many = simulated(times(3000, 1900, 0.3), 10, workers=200, ahead=300)
    picture = timeline_picture(many, start=4.0)
    axes = picture.axes[0]
    names = lanes(axes)
    assert names[0] == "worker 0"
    assert names[-1] == "loop"
    assert len(names) <= 40
    assert axes.get_ylim()[0] > 200
    assert picture.get_figheight() <= 12
    of_workers = [lane for lane in axes.collections if "compute" not in str(lane.get_label())]
    assert len(of_workers) >= 200
    named = picture.axes[0].get_yticklabels()
    picture.draw_without_rendering()
    boxes = [label.get_window_extent() for label in named]
    assert all(above.y0 >= below.y1 - 1 for above, below in pairwise(boxes))


def test_bars_too_fine_to_be_seen_become_shares_of_the_time() -> None:
    many = simulated(times(16384, 0.02, 0.5), 0.015, workers=2, ahead=10)
    axes = timeline_picture(many).axes[0]
    assert axes.get_ylabel() == "height: share of the time"
    worker, _, compute, *_ = (part.get_data() for part in axes.patches)
    own = many[many["worker"] == 0]
    busy = (own["made_ns"] - own["started_ns"]).sum()
    share = busy / (many["answered_ns"][-1] - many["asked_ns"][0])
    assert 0.5 < share < 0.8
    height = worker.baseline - worker.values
    assert height.mean() == pytest.approx(0.8 * share, rel=0.01)
    assert np.mean(compute.baseline - compute.values) == pytest.approx(0.8, rel=0.01)


def test_copies_that_were_issued_before_the_last_was_seen_done_follow_each_other() -> None:
    records = simulated([20] * 5, 30, workers=1, ahead=4, upload_ms=12)
    records["upload_ns"][1:] = records["uploaded_ns"][:-1] - 5 * MS
    axes = timeline_picture(records).axes[0]
    copies = spans(axes.collections[1])
    assert (copies[1:, 0] >= copies[:-1, 1] - 1e-9).all()
    assert copies[:, 1] == pytest.approx((records["uploaded_ns"] - START_NS) * 1e-9, abs=1e-9)


def test_what_came_in_place_of_a_batch_is_marked() -> None:
    records = simulated([20] * 30, 30, workers=1, ahead=4)
    records["kind"][[4, 9]] = 1, 3
    axes = timeline_picture(records).axes[0]
    answered = (records["answered_ns"] - START_NS) * 1e-9
    assert line(axes, "exception").get_xdata().tolist() == pytest.approx([answered[4]])
    assert line(axes, "worker died").get_xdata().tolist() == pytest.approx([answered[9]])
    assert legend(axes)[-2:] == ["exception", "worker died"]


def test_one_batch_and_none() -> None:
    axes = timeline_picture(simulated([20], 30, workers=1, ahead=4)).axes[0]
    assert lanes(axes) == ["worker 0", "loop"]
    assert axes.get_xlim() == pytest.approx((0, 0.020))
    assert texts(timeline_picture(np.zeros(0, RECORD)).axes[0]) == ["No batch was handed out."]
    assert texts(timeline_picture(np.zeros(0, [])).axes[0]) == ["No batch was handed out."]


def test_a_batch_that_cost_no_time_does_no_harm() -> None:
    record = np.zeros(1, RECORD)
    for field in ("asked_ns", "answered_ns", "posted_ns", "started_ns", "made_ns"):
        record[field] = START_NS + MS
    picture = timeline_picture(record)
    picture.draw_without_rendering()
    assert lanes(picture.axes[0]) == ["worker 0", "loop"]
