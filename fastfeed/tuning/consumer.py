"""The training step: alone with one batch, or behind a loader."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from fastfeed.errors import FastFeedError
from fastfeed.tuning.deadline import OutOfTime, alarm
from fastfeed.tuning.result import StepTimes

SKIPPED = 10
FEWEST = 30
MOST = 200


class StepFailed(FastFeedError, RuntimeError):
    """The step raised an exception, which is the cause of this one."""


class Step:
    """What is done with each batch.

    Parameters
    ----------
    function : callable or float
        Called with a batch; or seconds to sleep.

    Attributes
    ----------
    how : {"step", "sleep"}
    given : StepTimes or None
        What is known of it before it is measured.
    """

    given: StepTimes | None

    def __init__(self, function: Callable[[Any], object] | float) -> None:
        if callable(function):
            self.how, self._function, self.given = "step", function, None
        else:
            seconds = float(function)
            self.how, self._function = "sleep", lambda batch: time.sleep(seconds)
            self.given = StepTimes(np.array([seconds]), seconds, seconds, self.how)

    def __call__(self, batch: Any) -> None:
        """Do it.

        Raises
        ------
        StepFailed
            It raised an exception.
        """
        try:
            self._function(batch)
        except Exception as error:
            said = f"{type(error).__name__}: {error}".rstrip(".: ")
            raise StepFailed(
                f"The step failed with {said}. It is called with one batch, as a loop over the "
                "loader would get it."
            ) from error


def measure(step: Step, batch: Any, end: float, hard_end: float) -> StepTimes | None:
    """Return how long the step takes with the same batch again and again.

    The first ones, in which frameworks compile, do not count.

    Parameters
    ----------
    step : Step
    batch : tree of arrays
    end, hard_end : float
        Of `time.perf_counter`: when to stop; and if no step has ended by then.

    Returns
    -------
    StepTimes or None
        None: not one step ended.
    """
    found: list[float] = []
    try:
        with alarm(hard_end):
            found.append(_timed(step, batch))
        with alarm(end):
            while len(found) < SKIPPED + MOST:
                found.append(_timed(step, batch))
    except OutOfTime:
        pass
    return _without_first(found, step.how) if found else None


def _timed(step: Step, batch: Any) -> float:
    begin = time.perf_counter()
    step(batch)
    return time.perf_counter() - begin


def _without_first(found: list[float], how: str) -> StepTimes:
    """Leave out the first steps, as many as can be spared."""
    spare = max(0, len(found) - FEWEST)
    skipped = min(SKIPPED, max(spare, len(found) // 4))
    seconds = np.array(found[skipped:])
    return StepTimes(seconds, float(np.median(seconds)), float(np.percentile(seconds, 95)), how)
