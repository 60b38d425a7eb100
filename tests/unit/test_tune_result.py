"""A result of tuning, written and read again."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fastfeed.tuning.result import Block, Ended, Interval, Point, StepTimes, TuneResult

RECORD = np.dtype({"names": ["index", "asked_ns"], "formats": ["u4", "u8"], "offsets": [0, 8]})


def point(workers: int, rate: float = 10.0) -> Point:
    made = np.full(4, 0.1)
    interval = Interval(rate, -np.inf, np.inf)
    return Point(workers, made, interval, 4, 0.4, 1e6, np.nan, 4096, 0.3)


def whole() -> TuneResult:
    timeline = np.array([(1, 2**63), (2, 5)], RECORD)
    return TuneResult(
        "m:s",
        2,
        4,
        "workers",
        "Fine.",
        Ended.INTERRUPTED,
        "Ctrl-C",
        step=StepTimes(np.array([0.1, 0.2]), 0.15, 0.2, "sleep"),
        points=(point(1), point(4)),
        blocks=(Block(2, 4, 0, 10, 1.5, 0.01),),
        predicted_stall=0.02,
        timeline=timeline,
        warnings=("Careful.",),
        machine={"cores": 2.0},
    )


def test_it_is_read_as_it_was_written() -> None:
    result = whole()
    again = TuneResult.from_json(result.to_json())
    assert again.to_json() == result.to_json()
    assert again.ended is Ended.INTERRUPTED
    assert again.timeline.tolist() == [(1, 2**63), (2, 5)]
    assert again.points[0].batches_per_second == Interval(10.0, -np.inf, np.inf)
    assert np.isnan(again.points[0].cpu_ratio)
    assert again.step is not None and again.step.seconds.tolist() == [0.1, 0.2]
    assert again.blocks == result.blocks
    assert again.warnings == ("Careful.",)


def test_an_empty_one_too() -> None:
    result = TuneResult("m:s", 1, 3, "default", "Nothing.")
    again = TuneResult.from_json(result.to_json())
    assert again.to_json() == result.to_json()
    assert again.point is None and len(again.timeline) == 0


def test_json_has_no_numbers_of_its_own_making() -> None:
    def refuse(name: str) -> None:
        raise AssertionError(name)

    json.loads(whole().to_json(), parse_constant=refuse)


@pytest.mark.parametrize("text", ["[]", "{}", '{"version": 0}', "no"])
def test_others_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        TuneResult.from_json(text)


@pytest.mark.parametrize(("workers", "measured"), [(0, 1), (1, 1), (3, 4), (4, 4), (9, 4)])
def test_the_point_of_the_answer(workers: int, measured: int) -> None:
    result = TuneResult("m:s", workers, 4, "workers", "", points=(point(4), point(1)))
    assert result.point is not None
    assert result.point.workers == measured


def test_the_line_to_paste() -> None:
    assert TuneResult("m:s", 2, 4, "", "").arguments == "workers=2, max_queue_size=4"
    threads = TuneResult("m:s", 2, 4, "", "", threads=True)
    assert threads.arguments == "workers=2, max_queue_size=4, use_multiprocessing=False"
