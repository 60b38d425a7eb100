"""Options and fixtures of the benchmark suite."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bench import machine, photos
from bench.harness import Contest, Result, missing_modules
from bench.rivals import Contestant

LOAD_AT_START = os.getloadavg()


@dataclass(frozen=True)
class Settings:
    """How long to measure."""

    rounds: int
    seconds: float  # a round of one contestant
    quick: bool


FULL = Settings(rounds=7, seconds=0.6, quick=False)
QUICK = Settings(rounds=3, seconds=0.2, quick=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--quick`` and ``--command``."""
    parser.addoption("--quick", action="store_true", help="fewer and shorter rounds")
    parser.addoption("--command", default="pytest bench", help="to be written into the results")


def pytest_benchmark_generate_machine_info(config: pytest.Config) -> dict[str, Any]:
    """Say where, when and with what the figures were made."""
    return machine.describe(config.getoption("command"), LOAD_AT_START)


class ReplayClock:
    """A clock that only moves when a measured time is replayed.

    A contest measures in other processes and interleaved; pytest-benchmark wants to call a
    function and look at a clock. So it is given a function that moves this clock on by what one
    round really took, and keeps, compares and stores the rounds as if they were its own.
    """

    def __init__(self) -> None:
        self._now = 0.0

    def now(self) -> float:
        """Return the seconds replayed since the last start."""
        return self._now

    def replay(self, rounds: Sequence[float]) -> Callable[[], None]:
        """Return a function that moves the clock on by the next of `rounds` at each call."""
        self._now = 0.0
        remaining = iter(rounds)

        def move_on() -> None:
            self._now += next(remaining)

        return move_on


CLOCK = ReplayClock()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put tests that replay under the clock that does; no time limit for any of them."""
    for item in items:
        if "record" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.benchmark(timer=CLOCK.now))
            item.add_marker(pytest.mark.timeout(0))


@pytest.fixture
def record(benchmark: Any) -> Callable[..., None]:
    """Hand seconds measured elsewhere to pytest-benchmark: ``record(group, rounds, **info)``."""

    def hand_over(group: str, rounds: Sequence[float], **info: Any) -> None:
        benchmark.group = group
        benchmark.extra_info.update(info)
        benchmark.pedantic(CLOCK.replay(rounds), rounds=len(rounds))

    return hand_over


@pytest.fixture(scope="session")
def settings(request: pytest.FixtureRequest) -> Settings:
    """How long to measure, by ``--quick``."""
    return QUICK if request.config.getoption("quick") else FULL


@pytest.fixture(scope="session")
def photo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of JPEG files."""
    return photos.write(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="session")
def contests(settings: Settings, photo_folder: Path) -> Callable[..., Result]:
    """Hold a work's contest when its first result is asked for, and keep it for the others."""
    held: dict[str, Result] = {}

    def result(work: str, contestants: Sequence[Contestant]) -> Result:
        if work not in held:
            contest = Contest(work, contestants, settings.rounds, settings.seconds, photo_folder)
            held[work] = contest.run()
        return held[work]

    return result


@pytest.fixture
def enter(contests: Callable[..., Result], record: Callable[..., None]) -> Callable[..., None]:
    """Record one contestant's rounds: ``enter(work, contestant, contestants)``."""

    def one(work: str, contestant: Contestant, contestants: Sequence[Contestant]) -> None:
        result = contests(work, contestants)
        name = contestant.name
        if name in result.left_out:
            stop = pytest.skip if missing_modules(contestant) else pytest.fail
            stop(f"{name} took no part: {result.left_out[name]}")
        record(
            work,
            result.seconds[name],
            contestant=name,
            batches_per_round=result.batches[name],
            cores_used_by_others=statistics.median(result.disturbance[name]),
            left_out=result.left_out,
        )

    return one
