"""Where the time went, what was ready, and how long batches took: the values that are drawn."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.patches import StepPatch
from unit_figures import bars, legend, line, texts
from unit_records import simulated, times

from fastfeed.monitor.journal import RECORD, Records
from fastfeed.pictures.spans import make_seconds
from fastfeed.pictures.stats import draw_make_times, stats_picture
from fastfeed.pictures.style import figure

NONE = np.zeros(0, RECORD)
HALF = simulated([60] * 100, 30, workers=1, ahead=4)
"""One worker takes twice as long as the step: half of the time is waited for production."""
TAIL = simulated([15, 15, 15, 300] * 30, 12, workers=3, ahead=5)
DEVICE = simulated(
    times(150, 100, 0.8), 30, workers=4, ahead=8, upload_ms=12, epochs=2, between_ms=900
)


def shares(records: Records) -> dict[str, np.ndarray]:
    """The height of each bar in percent, by what it stands for."""
    found = bars(stats_picture(records).axes[0])
    return {name: np.array([bar.get_height() for bar in part]) for name, part in found.items()}


def test_bars_say_what_half_of_the_time_was_waited_for() -> None:
    found = shares(HALF)
    inner = slice(1, -1)  # the first window has the first batch in it
    assert found["wait: production"][inner] == pytest.approx(50, abs=5)
    assert found["compute"][inner] == pytest.approx(50, abs=5)
    assert found["wait: order"] == pytest.approx(0)


@pytest.mark.parametrize("records", [HALF, TAIL, DEVICE, HALF[:1]], ids=len)
def test_bars_fill_the_whole_time(records: Records) -> None:
    axes = stats_picture(records).axes[0]
    assert sum(shares(records).values()) == pytest.approx(100)
    left = [bar.get_x() for bar in bars(axes)["compute"]]
    width = [bar.get_width() for bar in bars(axes)["compute"]]
    end = (records["answered_ns"][-1] - records["asked_ns"][0]) * 1e-9
    assert left[0] == 0
    assert left[-1] + width[-1] == pytest.approx(end)
    assert axes.get_xlim() == pytest.approx((0, end))


def test_a_tail_shows_as_waiting_for_the_order() -> None:
    found = shares(TAIL)
    waited = TAIL["answered_ns"] - TAIL["asked_ns"]
    assert TAIL["order_wait_ns"].sum() > 0.8 * waited.sum()
    assert found["wait: order"].sum() > 0.7 * (100 * len(found["compute"]) - found["compute"].sum())


def test_every_kind_of_time_has_its_own_hatch_or_tone() -> None:
    found = bars(stats_picture(DEVICE).axes[0])
    assert list(found) == [
        "compute", "wait: production", "wait: order", "wait: upload", "between passes",
    ]  # fmt: skip
    assert len({(part[0].get_hatch(), part[0].get_facecolor()) for part in found.values()}) == 5
    hatched = [part[0].get_hatch() for name, part in found.items() if name.startswith("wait")]
    assert len(set(hatched)) == 3
    assert all(hatched)


def test_without_a_device_nothing_is_said_of_uploads() -> None:
    picture = stats_picture(HALF)
    assert legend(picture.axes[0]) == ["wait: order", "wait: production", "compute"]
    assert legend(picture.axes[1]) == ["finished"]
    assert "upload" not in picture.get_suptitle()


def test_the_heading_counts_the_waits_of_all_records() -> None:
    waited = (HALF["answered_ns"] - HALF["asked_ns"]).sum()
    stepped = (HALF["asked_ns"][1:] - HALF["answered_ns"][:-1]).sum()
    share = 100 * waited / (waited + stepped)
    heading = stats_picture(HALF).get_suptitle()
    assert heading.startswith("100 batches in 6 s: ")
    assert f"waited for data {share:.1f} % of the time (production {share:.1f} %" in heading
    assert stats_picture(HALF, verdict="costs $5 or $6").get_suptitle() == r"costs \$5 or \$6"


def levels(records: Records, **options: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """The lines of the batches that were ready: values and edges."""
    axes = stats_picture(records, **options).axes[1]
    found = [part.get_data() for part in axes.patches if isinstance(part, StepPatch)]
    return [(data.values, data.edges) for data in found]


def test_ready_batches_stay_within_the_limit_and_reach_it_between_passes() -> None:
    _, (mean, edges), *_ = levels(DEVICE, ahead=8)
    assert mean.max() == 8
    pause = DEVICE["answered_ns"][149] - DEVICE["asked_ns"][0]
    before_second_pass = np.searchsorted(edges, pause * 1e-9 + 0.85) - 1
    assert mean[before_second_pass] == 8
    picture = stats_picture(DEVICE, ahead=8)
    assert legend(picture.axes[1]) == ["finished", "on the device", "limit"]
    assert line(picture.axes[1], "limit").get_ydata()[0] == 8


def test_a_batch_that_the_loop_waits_for_is_never_ready() -> None:
    late = HALF.copy()
    late["answered_ns"] += 50_000  # the way from the worker into the loop takes its time
    (most, _), (mean, _) = levels(late)
    assert most.max() == mean.max() == 0
    assert stats_picture(HALF).axes[1].get_ylim()[1] >= 1


def test_batches_that_were_not_taken_yet_may_have_been_ready_too() -> None:
    axes = stats_picture(DEVICE, outstanding=5).axes[1]
    hatched = next(part for part in axes.patches if part.get_label() == "or more")
    last_posted = (DEVICE["posted_ns"].max() - DEVICE["asked_ns"][0]) * 1e-9
    left = np.atleast_2d(hatched.get_xy())[:, 0].min()
    assert left == pytest.approx(last_posted)
    assert "or more" not in legend(stats_picture(DEVICE).axes[1])


@pytest.mark.parametrize("records", [HALF, TAIL, DEVICE, HALF[:1]], ids=len)
def test_the_histogram_has_every_batch_once(records: Records) -> None:
    axes = stats_picture(records).axes[2]
    assert sum(bar.get_height() for bar in axes.patches) == len(records)
    made = make_seconds(records)
    for name, value in (
        ("median", np.median(made)), ("95 %", np.quantile(made, 0.95)), ("longest", made.max()),
    ):  # fmt: skip
        assert line(axes, name).get_xdata()[0] == pytest.approx(value)
        assert line(axes, name).get_linestyle() in ("-", "--", ":")


def test_a_few_slow_batches_can_be_seen_among_many() -> None:
    axes = figure(3).subplots()
    draw_make_times(axes, np.array([0.010] * 5000 + [0.2]))
    assert axes.get_yscale() == "log"
    assert axes.get_ylim()[0] < 1
    assert axes.get_xlabel() == "time (ms)"
    axes = figure(3).subplots()
    draw_make_times(axes, np.array([0.010] * 5000))
    assert axes.get_yscale() == "linear"


def test_nothing_yet_is_said_in_each_panel() -> None:
    picture = stats_picture(NONE)
    assert picture.get_suptitle() == "No batch was handed out yet."
    assert [texts(axes) for axes in picture.axes] == [
        ["No batch was handed out yet."], ["No batch was handed out yet."], ["No batch was made."],
    ]  # fmt: skip
    assert [axes.get_ylabel() for axes in picture.axes] == [
        "share of the time (%)", "batches", "batches",
    ]  # fmt: skip


def test_the_largest_journal_is_still_one_picture_of_30_bars() -> None:
    many = simulated(times(16384, 0.02, 0.5), 0.015, workers=2, ahead=10)
    picture = stats_picture(many, ahead=10)
    assert len(bars(picture.axes[0])["compute"]) == 30
    assert picture.axes[0].get_xlabel() == "time (ms)"
