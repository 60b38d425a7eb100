"""The four panels of a tuning: the values that are drawn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from unit_figures import lanes, legend, line, spans, texts
from unit_records import simulated, times
from unit_tuned import AHEAD, FEW, NOTHING, STALLS, STEP, WORKERS, point, tuned

from fastfeed.monitor.sizing import predicted_stall
from fastfeed.tuning.picture import stall_curve, tuning_picture

RESULT = tuned()


def panel(title: str, result: object = RESULT) -> Axes:
    """A panel by its title."""
    picture = tuning_picture(result)
    return next(axes for axes in picture.axes if axes.get_title(loc="left") == title)


def whiskers(axes: Axes, name: str) -> ErrorbarContainer:
    """Marks with whiskers, by the beginning of their name."""
    found = [each for each in axes.containers if isinstance(each, ErrorbarContainer)]
    return next(each for each in found if str(each.get_label()).startswith(name))


def ends(found: ErrorbarContainer) -> np.ndarray:
    """Where whiskers begin and end, shape (marks, 2)."""
    return np.array([segment[:, 1] for segment in found.lines[2][0].get_segments()])


def test_rates_rise_over_workers_with_their_intervals_beside_what_the_step_uses() -> None:
    axes = panel("What workers make")
    made = whiskers(axes, "made")
    by_workers = sorted(RESULT.points, key=lambda each: each.workers)
    rates = [each.batches_per_second for each in by_workers]
    assert made.lines[0].get_xdata().tolist() == [1, 2, 4, 5, 6, 8, 12]
    assert made.lines[0].get_ydata().tolist() == [rate.mean for rate in rates]
    assert ends(made) == pytest.approx(np.array([(rate.low, rate.high) for rate in rates]))
    used = line(axes, "the step uses 33.3")
    assert used.get_ydata() == pytest.approx([1 / STEP, 1 / STEP])
    assert used.get_linestyle() == "--"
    assert line(axes, "workers=5").get_xdata()[0] == WORKERS
    assert "CPU (right axis)" in legend(axes)


def test_the_cpu_has_an_axis_of_its_own_from_0_to_100() -> None:
    cpu = next(axes for axes in tuning_picture(RESULT).axes if axes.get_ylabel() == "CPU (%)")
    assert line(cpu, "CPU").get_ydata() == pytest.approx([12.5, 25, 50, 62.5, 75, 100, 100])
    assert cpu.get_ylim() == (0, 105)


def test_what_was_not_measured_is_not_drawn() -> None:
    picture = tuning_picture(FEW)
    assert "CPU (%)" not in [axes.get_ylabel() for axes in picture.axes]
    made = whiskers(picture.axes[0], "made")
    assert ends(made).tolist() == [[9.0, 9.0]]
    without = replace(RESULT, step=None)
    assert not any("the step uses" in name for name in legend(panel("What workers make", without)))


def test_the_predicted_curve_is_the_replay_of_the_measured_times() -> None:
    axes = panel("Waiting for data")
    curve = line(axes, "predicted, workers=5")
    ahead, stalls = curve.get_xdata(), curve.get_ydata()
    assert ahead[0] == 1
    assert ahead[-1] == 2 * AHEAD
    assert AHEAD in ahead
    made = next(each for each in RESULT.points if each.workers == 5).make_seconds
    for place in (0, len(ahead) // 2, -1):
        expected = predicted_stall(made, STEP, 5, int(ahead[place]))
        assert stalls[place] == pytest.approx(100 * expected)
    assert stalls[0] > 50 > 5 > stalls[-1]


@pytest.mark.parametrize("workers", STALLS)
def test_measured_stalls_are_medians_with_their_spread(workers: int) -> None:
    axes = panel("Waiting for data")
    measured = whiskers(axes, f"measured, workers={workers}")
    low, middle, high = sorted(100 * stall for stall in STALLS[workers])
    assert measured.lines[0].get_ydata() == pytest.approx([middle])
    assert measured.lines[0].get_xdata() == pytest.approx([AHEAD], rel=0.15)  # beside each other
    assert ends(measured) == pytest.approx(np.array([(low, high)]))
    predicted = line(axes, f"predicted, workers={workers}")
    assert measured.lines[0].get_color() == predicted.get_color()


def test_marks_of_different_numbers_of_workers_differ_in_grey() -> None:
    axes = panel("Waiting for data")
    curves = [line(axes, f"predicted, workers={each}") for each in STALLS]
    assert len({str(curve.get_linestyle()) for curve in curves}) == 3
    marks = [whiskers(axes, f"measured, workers={each}").lines[0].get_marker() for each in STALLS]
    assert len(set(marks)) == 3


def test_no_waiting_at_all_is_a_line_above_the_axis() -> None:
    axes = panel("Waiting for data", tuned(blocks=(), step_seconds=1.0))
    assert set(line(axes, "predicted").get_ydata()[1:]) == {0}
    assert axes.get_ylim()[0] < 0
    assert axes.get_ylim()[1] >= 5


def test_a_curve_needs_times_of_batches_and_of_a_step() -> None:
    assert stall_curve(NOTHING, 1) == {}
    assert stall_curve(replace(RESULT, step_seconds=None), WORKERS) == {}
    assert stall_curve(RESULT, 7) == {}  # never measured, and not the answer
    inline = replace(RESULT, workers=0, points=(replace(point(1), workers=0),))
    assert stall_curve(inline, 0) == {}  # the calling thread has no queue


def test_times_of_batches_are_those_of_the_answers_workers() -> None:
    axes = panel("Making of a batch")
    assert sum(bar.get_height() for bar in axes.patches) == 300
    made = next(each for each in RESULT.points if each.workers == 5).make_seconds
    assert line(axes, "median").get_xdata()[0] == pytest.approx(np.median(made))
    assert line(axes, "queue x step").get_xdata()[0] == pytest.approx(AHEAD * STEP)
    assert "queue x step: 450 ms" in legend(axes)


def test_a_long_queue_does_not_squeeze_the_histogram() -> None:
    axes = panel("Making of a batch", replace(RESULT, max_queue_size=1000))
    assert "queue x step: 30 s (further right)" in legend(axes)
    assert axes.get_xlim()[1] < 2


def test_the_last_three_seconds_are_on_lanes() -> None:
    axes = panel("What each did")
    assert lanes(axes) == [*(f"worker {each}" for each in range(5)), "loop"]
    first, last = axes.get_xlim()
    whole = RESULT.timeline["answered_ns"][-1] - RESULT.timeline["asked_ns"][0]
    assert last == pytest.approx(whole * 1e-9)
    assert last - first == pytest.approx(3)
    assert all(spans(lane).min() >= first for lane in axes.collections)


def test_the_heading_is_the_line_to_paste_and_the_verdict() -> None:
    heading = tuning_picture(replace(RESULT, source="a$b$:c")).get_suptitle()
    assert heading == (r"a\$b\$:c: workers=5, max_queue_size=15" "\n5 workers keep the step fed.")


def test_a_tuning_that_measured_nothing_says_so_on_each_panel() -> None:
    picture = tuning_picture(NOTHING)
    picture.draw_without_rendering()
    assert [texts(axes) for axes in picture.axes] == [
        ["No batch was made."],
        ["Without the times of batches and a step\nnothing is predicted."],
        ["No batch was made."],
        ["No batch was handed out."],
    ]
    assert picture.get_suptitle().endswith("Nothing was measured.")


def test_legends_and_headings_leave_the_panels_their_room() -> None:
    picture = tuning_picture(replace(RESULT, verdict="Why it is so, in many words. " * 12))
    picture.draw_without_rendering()
    for axes in picture.axes:
        assert axes.get_position().width > 0.35
        assert axes.get_position().height > 0.2
        found = axes.get_legend()
        if found:
            right = picture.transFigure.inverted().transform(found.get_window_extent())[1, 0]
            assert right <= 1


def test_two_hundred_workers_fit() -> None:
    many = replace(
        RESULT,
        workers=190,
        points=tuple(map(point, (1, 2, 4, 8, 16, 32, 64, 128, 190, 200))),
        timeline=simulated(times(2000, 1900, 0.3), 10, 190, 300),
    )
    picture = tuning_picture(many)
    assert picture.get_figheight() < 12
    timeline = picture.axes[3]
    assert len(lanes(timeline)) < 40
    assert timeline.get_ylim()[0] > 190
