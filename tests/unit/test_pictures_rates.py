"""Rates against workers and queue, and of loaders beside each other."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.text import Text
from unit_figures import lanes, legend, line, texts

from fastfeed.pictures.throughput import Row, Setting, bench_picture, throughput_picture

GRID = [Setting(w, q, 10.0 * w + q) for w in (1, 2, 4, 8) for q in (2, 8, 32) if q >= w]


def test_a_line_for_each_length_of_the_queue() -> None:
    axes = throughput_picture(GRID).axes[0]
    assert legend(axes) == [f"max_queue_size={queue}" for queue in (2, 8, 32)]
    assert line(axes, "max_queue_size=2").get_xdata().tolist() == [1, 2]
    assert line(axes, "max_queue_size=32").get_ydata().tolist() == [42, 52, 72, 112]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("workers", "batches a second")
    assert axes.get_ylim()[0] == 0
    looks = {(each.get_linestyle(), each.get_marker()) for each in axes.lines}
    assert len(looks) == 3


def test_each_setting_is_a_number_on_a_tone_that_leaves_it_readable() -> None:
    axes = throughput_picture(GRID).axes[1]
    assert sorted(texts(axes)) == sorted(f"{each.batches_per_second:.3g}" for each in GRID)
    shown = axes.images[0]
    tones = np.asarray(shown.get_array())
    assert np.isnan(tones).sum() == 12 - len(GRID)
    for text in axes.texts:
        column, row = map(round, text.get_position())
        grey = shown.cmap(shown.norm(tones[row, column]))[0]
        assert abs(grey - (1.0 if text.get_color() == "#ffffff" else 0.11)) > 0.4
    best = [text.get_text() for text in axes.texts if text.get_fontweight() == "bold"]
    assert best == ["112"]


def test_of_repeats_the_median_counts() -> None:
    picture = throughput_picture([Setting(2, 4, rate) for rate in (10, 11, 50)])
    assert line(picture.axes[0], "max").get_ydata().tolist() == [11]
    assert texts(picture.axes[1]) == ["11"]


def test_many_settings_stay_readable() -> None:
    many = [Setting(w, q, 1000.0 * w) for w in range(1, 25) for q in range(10, 210, 10)]
    picture = throughput_picture(many)
    assert len(legend(picture.axes[0])) == 6
    assert not overlaps(picture.axes[1], picture.axes[1].texts)
    assert not overlaps(picture.axes[0], picture.axes[0].get_xticklabels())


@pytest.mark.parametrize(
    ("settings", "written"),
    [
        ([], "Nothing was measured."),
        ([Setting(1, 10, 98412.0)], "98,400"),
        ([Setting(0, 1, 0.0)], "0"),
    ],
)
def test_one_rate_and_none(settings: list[Setting], written: str) -> None:
    picture = throughput_picture(settings)
    picture.draw_without_rendering()
    assert texts(picture.axes[1]) == [written]


def overlaps(axes: Axes, labels: list[Text]) -> bool:
    """Whether one of the texts covers another."""
    axes.figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in labels if label.get_text()]
    assert len(boxes) > 1
    pairs = ((one, other) for place, one in enumerate(boxes) for other in boxes[:place])
    return any(one.overlaps(other) for one, other in pairs)


ROWS = [
    Row("uint8 images", "plain loop", [100, 120, 110]),
    Row("uint8 images", "fastfeed, fill", [900, 1000, 800], 0.912),
    Row("small rows", "torch DataLoader", [40000.0, 41000.0], 0.00012),
    Row("small rows", "fastfeed, fill", [400000.0, 410000.0]),
]


def test_a_panel_for_each_kind_of_work_the_fastest_loader_on_top() -> None:
    picture = bench_picture(ROWS)
    assert [axes.get_title(loc="left") for axes in picture.axes] == ["uint8 images", "small rows"]
    assert lanes(picture.axes[0]) == ["fastfeed, fill", "plain loop"]
    assert [bar.get_width() for bar in picture.axes[0].patches] == [900, 110]
    assert picture.axes[0].get_ylim()[0] > picture.axes[0].get_ylim()[1]
    assert texts(picture.axes[0]) == ["900  (0.91 of the copy limit)", "110"]
    assert texts(picture.axes[1]) == ["405,000", "40,500"]
    ours, theirs = (bar.get_facecolor() for bar in picture.axes[0].patches)
    assert sum(theirs[:3]) - sum(ours[:3]) > 0.5  # lighter, in grey too


def test_whiskers_go_from_the_slowest_to_the_fastest_repeat() -> None:
    whiskers = bench_picture(ROWS).axes[0].collections
    ends = [sorted(segment[:, 0]) for found in whiskers for segment in found.get_segments()]
    assert ends == [[800, 1000], [100, 120]]


def test_names_of_users_are_shown_as_they_are() -> None:
    row = Row("costs $5, or $6", "my_$loader$ <b>" + " and more" * 12, [1.0])
    picture = bench_picture([row])
    picture.draw_without_rendering()  # would raise for what looks like a formula and is none
    axes = picture.axes[0]
    assert axes.get_title(loc="left") == r"costs \$5, or \$6"
    assert lanes(axes)[0].startswith(r"my_\$loader\$ <b>")
    assert lanes(axes)[0].endswith("...")
    assert lanes(axes)[0].count("\n") == 1


def test_a_long_name_without_spaces_is_broken_and_not_lost() -> None:
    picture = bench_picture([Row("work", "package.module:" + "Source" * 8, [1.0])])
    first, second = lanes(picture.axes[0])[0].split("\n")
    assert first + second == "package.module:" + "Source" * 8


def test_numbers_on_the_axis_do_not_run_into_each_other() -> None:
    axes = bench_picture([Row("rows", "a loader " * 7, [360_000.0, 440_000.0], 0.93)]).axes[0]
    assert not overlaps(axes, axes.get_xticklabels())
    assert "400,000" in [label.get_text() for label in axes.get_xticklabels()]


def test_a_loader_that_did_not_finish_has_no_bar() -> None:
    picture = bench_picture([Row("work", "one", [2.0]), Row("work", "other", [])])
    assert lanes(picture.axes[0]) == ["one"]
    assert texts(bench_picture([]).axes[0]) == ["Nothing was measured."]
    assert texts(bench_picture([Row("work", "one", [])]).axes[0]) == ["Nothing was measured."]
