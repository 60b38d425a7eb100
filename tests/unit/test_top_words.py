"""Numbers as people read them; memory that grows."""

from __future__ import annotations

import pytest

from fastfeed.monitor.growth import MOST_SAMPLES, SECOND, Grown, Growth, growing_text
from fastfeed.top import words

MIB = 1 << 20


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "-"), (0.0, "0.0 us"), (85e-6, "85 us"), (0.00123, "1.2 ms"), (0.9994, "999 ms"),
        (0.9996, "1.0 s"), (99.4, "99 s"), (99.6, "1 min 40 s"), (243, "4 min 03 s"),
        (3599.7, "1 h 00 min"), (7500, "2 h 05 min"),
    ],
)  # fmt: skip
def test_durations(seconds: float | None, said: str) -> None:
    assert words.duration(seconds) == said


@pytest.mark.parametrize(
    ("rate", "said"),
    [(None, "-"), (0, "0"), (0.333, "0.33"), (9.996, "10.0"), (99.96, "100"), (1520.4, "1,520")],
)
def test_rates(rate: float | None, said: str) -> None:
    assert words.number(rate) == said


@pytest.mark.parametrize(
    ("rate", "said"),
    [(0, "0 B/s"), (1500, "1.50 kB/s"), (149e6, "149 MB/s"), (2.1e9, "2.10 GB/s")],
)
def test_throughputs(rate: float, said: str) -> None:
    assert words.throughput(rate) == said


@pytest.mark.parametrize(
    ("ratio", "said"), [(None, "-"), (0, "0 %"), (0.004, "<1 %"), (0.38, "38 %"), (1, "100 %")]
)
def test_shares(ratio: float | None, said: str) -> None:
    assert words.percent(ratio) == said


def watched(sizes: list[float], every_s: float = 1.0) -> Growth:
    growth = Growth()
    for number, size in enumerate(sizes):
        growth.add(round((1000 + number * every_s) * SECOND), round(size * MIB))
    return growth


def test_a_process_that_grows_steadily() -> None:
    assert watched([100 + 3 * n for n in range(30)]).bytes_per_second == pytest.approx(3 * MIB)


@pytest.mark.parametrize(
    "sizes",
    [
        [100 + 50 * (n % 3) for n in range(60)],
        [100.0] * 10 + [500.0] * 50,
        [500 - 3 * n for n in range(30)],
        [100 + 0.1 * n for n in range(60)],
        [100 + 300 * n for n in range(8)],
    ],
    ids=["up and down", "grown once", "shrinks", "hardly", "too short to say"],
)
def test_a_process_that_does_not_grow(sizes: list[float]) -> None:
    assert watched(sizes).bytes_per_second == 0.0


def test_slow_growth_is_seen_in_a_long_watch_that_takes_no_more_memory() -> None:
    leak = watched([100 + 0.05 * n for n in range(3600)])
    assert leak.bytes_per_second == pytest.approx(0.05 * MIB, rel=0.1)
    assert len(leak._samples) <= MOST_SAMPLES


def test_a_short_interval_gives_no_more_samples() -> None:
    quick = watched([100 + 30 * n for n in range(40)], every_s=0.1)
    assert quick.bytes_per_second == 0.0  # four seconds


def test_growth_is_told_by_what_is_usual_early_and_late() -> None:
    growth = Growth()
    for number in range(30):
        size = 100 + 10 * number + (500 if number in (0, 5, 29) else 0)
        growth.add(number * SECOND, size * MIB, epoch=number // 5)
    found = growth.steady()
    assert found is not None
    early, late = found
    assert (early.epoch, late.epoch) == (1, 5)
    assert late.size - early.size == 180 * MIB


def test_those_who_grow_are_named_the_worst_first_and_the_others_counted() -> None:
    one, two = Grown(2, 123, 350 * MIB, 5, 60.0), Grown(0, 122, 9 * MIB, 0, 61.4)
    assert growing_text([]) == ""
    assert growing_text([one]).startswith(
        "worker 2 (pid 123) grew by 350.0 MiB in 5 epochs: the source keeps something"
    )
    assert growing_text([two]).startswith("worker 0 (pid 122) grew by 9.0 MiB in 61 s: ")
    assert "epochs, and 1 other too: " in growing_text([one, two])
    assert "epochs, and 2 others too: " in growing_text([one, two, two])
