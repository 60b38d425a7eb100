"""The arguments that are numbers and ranges of numbers, read as Keras reads them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fastfeed.errors import ArgumentError

Shift = float | Sequence[float]


def number_of(given: Any, name: str) -> float:
    """Return one number.

    Raises
    ------
    ArgumentError
        If it is none. One that is not finite would spoil every picture.
    """
    try:
        number = math.nan if isinstance(given, str) else float(given)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise ArgumentError(f"{name} must be one finite number.", f"{name}={given!r}")
    return number


def pair_of(given: float | Sequence[float], name: str) -> tuple[float, float]:
    """Return the least and the most of two numbers, which stand in either order.

    Raises
    ------
    ArgumentError
        If they are no two numbers.
    """
    try:
        first, second = (number_of(each, name) for each in given)  # type: ignore[union-attr]
    except (TypeError, ValueError):
        raise ArgumentError(
            f"{name} is a pair of factors, for example (0.8, 1.2)"
            + (", or one number, 0.2." if name == "zoom_range" else "."),
            f"{name}={given!r}",
        ) from None
    return min(first, second), max(first, second)


def zoom_limits(given: float | Sequence[float]) -> tuple[float, float] | None:
    """Return the least and the most zoom; None if there is none."""
    if isinstance(given, (int, float, np.number)):
        given = (1 - given, 1 + given)
    low, high = pair_of(given, "zoom_range")
    return None if low == high == 1 else (low, high)


class Shifts(NamedTuple):
    """How far an image may be shifted along one side.

    Attributes
    ----------
    choices : sequence or None
        One of these, to either side; None: anything up to `limit`.
    relative : bool
        In parts of the side rather than in pixels.
    """

    choices: Sequence[float] | None
    limit: float
    relative: bool

    @classmethod
    def of(cls, given: Shift, name: str) -> Shifts | None:
        """Read a ..._shift_range as Keras does: below 1 it is a part of the side; a whole number n
        is one of 0 .. n - 1 pixels, a list one of its numbers. None: no shift.

        Raises
        ------
        ArgumentError
            If it is none of these.
        """
        values = np.asarray(given)
        good = values.dtype.kind in "iuf" and values.ndim < 2 and np.isfinite(values).all()
        if good and values.ndim:
            values = np.abs(values)  # each is meant to either side anyway
        if not good or values.min(initial=0) < 0:
            raise ArgumentError(
                f"{name} is a part of the side (0.2), a number of pixels (10), or a list of one or "
                "the other; both directions are meant.",
                f"{name}={given!r}",
            )
        if not values.any():
            return None
        relative = bool(values.max() < 1)
        if values.ndim or values.dtype.kind != "f":
            return cls(values.tolist() if values.ndim else range(int(values)), 0.0, relative)
        return cls(None, float(values), relative)

    def draw(self, rng: np.random.Generator, side: int) -> float:
        """Return a shift in pixels of an image's side."""
        if self.choices is None:
            shift = rng.uniform(-self.limit, self.limit)
        else:
            shift = float(self.choices[int(rng.integers(len(self.choices)))])
            shift = -shift if rng.random() < 0.5 else shift
        return shift * side if self.relative else shift
