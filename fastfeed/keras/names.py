"""Keras 1's names of arguments, taken beside those of Keras 2.

Keras 1 counted samples where Keras 2 counts batches. How many samples a batch has is known when
the first one is there (feeding.py), so a number of samples travels as `Samples` until then.
"""

from __future__ import annotations

import functools
import inspect
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any, ParamSpec, TypeVar

from fastfeed.errors import ArgumentError

KERAS_2_NAMES = {
    "samples_per_epoch": "steps_per_epoch",
    "nb_epoch": "epochs",
    "nb_val_samples": "validation_steps",
    "val_samples": "steps",
    "max_q_size": "max_queue_size",
    "nb_worker": "workers",
    "pickle_safe": "use_multiprocessing",
}
COUNT_SAMPLES = {"samples_per_epoch", "nb_val_samples", "val_samples"}

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Samples:
    """A number of samples, in the place of a number of batches.

    Parameters
    ----------
    number : float
    name : str
        The argument that it was given as.

    Raises
    ------
    ArgumentError
        `number` is not a number greater than 0.
    """

    number: float
    name: str

    def __post_init__(self) -> None:
        is_number = isinstance(self.number, Real) and not isinstance(self.number, bool)
        if not is_number or not 0 < self.number < math.inf:
            raise ArgumentError(
                f"{self.name} must be a number of samples, 1 or more.",
                f"{self.name}={self.number!r}",
            )

    def in_batches(self, batch_size: int) -> int:
        """Return the number of batches that hold so many samples."""
        return math.ceil(self.number / batch_size)


def takes_keras_1_names(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function with Keras 2's names take those of Keras 1 too, as keywords.

    Each one that is used is warned of. A name whose counterpart the function has not is left to
    the function, which refuses what it does not know.

    Raises
    ------
    ArgumentError
        The same argument is given by both names.
    """
    parameters = list(inspect.signature(function).parameters)

    @functools.wraps(function)
    def renaming(*args: P.args, **kwargs: P.kwargs) -> R:
        old_names = [name for name in kwargs if KERAS_2_NAMES.get(name) in parameters]
        given = {**dict(zip(parameters, args, strict=False)), **kwargs}
        for old in old_names:
            new = KERAS_2_NAMES[old]
            _refuse_both(old, new, given)
            warnings.warn(_what_to_write(old, new), DeprecationWarning, stacklevel=2)
            value: Any = kwargs.pop(old)
            counts_samples = old in COUNT_SAMPLES and value is not None
            kwargs[new] = Samples(value, old) if counts_samples else value
        return function(*args, **kwargs)

    return renaming


def _refuse_both(old: str, new: str, given: Mapping[str, Any]) -> None:
    if new in given:
        raise ArgumentError(
            f"{old} is Keras 1's name of {new}: give one of them.",
            f"{old}={given[old]!r}, {new}={given[new]!r}",
        )


def _what_to_write(old: str, new: str) -> str:
    if old in COUNT_SAMPLES:
        return (
            f"{old} is a name of Keras 1 and counts samples. Write {new}, which counts batches: "
            f"the number of samples divided by the batch size."
        )
    return f"{old} is a name of Keras 1. Write {new}."
