"""Checks of what users give to ops and to `Augment`."""

from __future__ import annotations

import operator
from collections.abc import Hashable
from typing import Any

import numpy as np

from fastfeed.devices.transforms.op import Op
from fastfeed.errors import ArgumentError

MOST = 2**24


def size_argument(name: str, value: Any, least: int) -> int:
    """Return a number of pixels or classes.

    Raises
    ------
    ArgumentError
        If it is no integer, less than `least`, or so large that sums of such need 64 bits.
    """
    try:
        size = operator.index(value)
    except TypeError:
        size = least - 1
    if not least <= size <= MOST:
        raise ArgumentError(f"{name} must be an integer from {least} to {MOST}.", repr(value))
    return size


def per_channel(name: str, value: Any) -> tuple[float, ...]:
    """Return the numbers of an argument, one if it holds for all channels.

    Raises
    ------
    ArgumentError
        If they are no numbers that float32 has.
    """
    try:
        array = np.atleast_1d(np.asarray(value, np.float64))
    except (TypeError, ValueError):
        array = np.array([])
    fits = (np.abs(array) <= np.finfo(np.float32).max).all()  # NaN does not either
    if array.ndim != 1 or not array.size or not fits:
        raise ArgumentError(
            f"{name} must be a finite number of float32, or a list of them.", repr(value)
        )
    return tuple(array.tolist())


def check_ops(name: str, ops: Any, allowed: tuple[type[Op], ...]) -> tuple[Op, ...]:
    """Return the ops of an argument.

    Raises
    ------
    ArgumentError
        If they are no sequence of ops of the classes allowed.
    """
    if isinstance(ops, Op):
        ops = (ops,)
    names = ", ".join(kind.__name__ for kind in allowed)
    if not isinstance(ops, (list, tuple)) or not all(isinstance(op, allowed) for op in ops):
        raise ArgumentError(f"{name} must be a list of ops, each one of {names}.", repr(ops))
    return tuple(ops)


def check_key(name: str, key: Any) -> Hashable:
    """Return the key or path of an array.

    Raises
    ------
    ArgumentError
        If it can be no key.
    """
    try:
        hash(key)
    except TypeError:
        raise ArgumentError(
            f"{name} must be a position, a key, or a tuple of those.", repr(key)
        ) from None
    return key  # type: ignore[no-any-return]
