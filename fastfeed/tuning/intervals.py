"""How sure a mean is."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from fastfeed.tuning.result import Interval

STUDENT = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23)
"""Student's t for 95 %, both sides, with 1 to 10 degrees of freedom."""
FEWEST = 3
GROUPS = 5


def mean_interval(samples: ArrayLike) -> Interval:
    """Return the mean of independent samples and its 95 % interval.

    Parameters
    ----------
    samples : array_like of float, shape (n,)
        At least one. With fewer than 3 the interval is infinite.
    """
    values = np.asarray(samples, float)
    mean = float(values.mean())
    if values.size < FEWEST:
        return Interval(mean, -math.inf, math.inf)
    freedom = values.size - 1
    t = STUDENT[freedom - 1] if freedom <= len(STUDENT) else 1.96 + 2.6 / freedom
    half = t * float(values.std(ddof=1)) / math.sqrt(values.size)
    return Interval(mean, mean - half, mean + half)


def rate_interval(arrivals: ArrayLike) -> Interval:
    """Return how many a second arrived, from the means of some groups of arrivals.

    Neighbours depend on each other (a queue runs full and empty), so single gaps would look much
    surer than they are.

    Parameters
    ----------
    arrivals : array_like of float, shape (n,)
        Times in seconds, rising; at least two.
    """
    times = np.asarray(arrivals, float)
    mean = (times.size - 1) / (times[-1] - times[0])
    groups = min(GROUPS, times.size - 1)
    edges = np.linspace(0, times.size - 1, groups + 1).astype(int)
    found = mean_interval(np.diff(edges) / np.diff(times[edges]))
    return Interval(float(mean), max(0.0, found.low), found.high)
