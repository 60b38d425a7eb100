"""Numbers as people read them; memory that grows."""

from __future__ import annotations

import pytest

from fastfeed.top import words
from fastfeed.top.growth import MOST_SAMPLES, SECOND, Growth

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
