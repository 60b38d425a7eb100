"""What was found: the files and what is known of each."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastfeed.imaging.names import Names

Split = tuple[float, float]
"""The part of the pictures that is taken, from the first to the second; both 0 to 1."""

Array = npt.NDArray[Any]


class Several(NamedTuple):
    """Lists of class numbers: sample i has ``numbers[starts[i]:starts[i + 1]]``."""

    numbers: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Found:
    """Pictures and their labels, in arrays: these go to the workers, and are shared by them.

    Attributes
    ----------
    directory : str
        Where `names` start.
    names : Names
    numbers : array of int32, Several or None
        The class of each, if there are classes.
    class_indices : dict of str to int or None
        The number of each class.
    values : list of arrays or None
        Columns of labels that are no classes, a row a sample.
    weights : array or None
    """

    directory: str
    names: Names
    numbers: npt.NDArray[np.int32] | Several | None = None
    class_indices: dict[str, int] | None = None
    values: list[Array] | None = None
    weights: Array | None = None

    def path(self, row: int) -> str:
        """Return where picture `row` lies."""
        return os.path.join(self.directory, self.names[row])

    def arrays(self) -> list[Array]:
        """Return everything that is known of the pictures but their names."""
        numbers = self.numbers if isinstance(self.numbers, Several) else [self.numbers]
        found = [*numbers, *(self.values or ()), self.weights]
        return [array for array in found if array is not None]


def part_of(items: Any, split: Split | None) -> Any:
    """Return items from one fraction of their number to another, cut as Keras cuts them."""
    if split is None:
        return items
    return items[int(split[0] * len(items)) : int(split[1] * len(items))]
