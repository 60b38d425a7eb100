"""Ops that change values and leave them where they are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fastfeed.devices.transforms import dtypes
from fastfeed.devices.transforms.arguments import per_channel, size_argument
from fastfeed.devices.transforms.draws import Draws
from fastfeed.devices.transforms.form import Form
from fastfeed.devices.transforms.op import Op, Site
from fastfeed.errors import ArgumentError

PerChannel = float | Sequence[float]
"""One number, or one for each channel."""


@dataclass(frozen=True)
class Cast(Op):
    """Change the dtype.

    To float16 and bfloat16 values are rounded to the nearest, ties to even, through float32. To
    integers they are cut off towards zero, as in C, and those that the dtype does not have become
    the nearest that it has; NaN becomes 0. To bool: whether they differ from 0.

    Parameters
    ----------
    dtype : dtype-like
        An integer, bool, float16, float32, float64, or ``"bfloat16"``, which needs ``ml_dtypes``.

    Raises
    ------
    ArgumentError
        If the dtype is another.
    """

    dtype: npt.DTypeLike

    def __post_init__(self) -> None:
        object.__setattr__(self, "dtype", dtypes.as_dtype(self.dtype))

    def fit(self, form: Form) -> Form:
        """Change the dtype."""
        return replace(form, dtype=np.dtype(self.dtype))

    def on_host(self, array: np.ndarray, form: Form, draws: Draws, number: int) -> np.ndarray:
        """Cast."""
        return dtypes.cast(array, np.dtype(self.dtype))

    def compute(self, site: Site, value: str) -> list[str]:
        """Cast."""
        return [site.result(dtypes.c_cast(site.before.dtype, site.after.dtype, value))]


class PerChannelOp(Op, ABC):
    """Computes with two numbers a channel, in float32 (float64 if it is given that)."""

    @abstractmethod
    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Return both numbers by channel, in float64; one number if it holds for all."""

    @abstractmethod
    def combine(self, number: Any, first: Any, second: Any) -> Any:
        """Compute; one operator of NumPy at a time, each rounds as C's does."""

    @abstractmethod
    def c_combine(self, number: str, first: str, second: str) -> str:
        """Return the C expression of `combine`."""

    def fit(self, form: Form) -> Form:
        """Check how many numbers there are; the result is of floats."""
        wrong = {len(values) for values in self.pairs()} - {1, form.n_channels}
        if wrong:
            raise self.misfit(
                form,
                f"it has numbers for {min(wrong)} channels, the array has {form.n_channels}. Give "
                "one number, or one for each channel.",
            )
        return replace(form, dtype=dtypes.number_dtype(form.dtype))

    def on_host(self, array: np.ndarray, form: Form, draws: Draws, number: int) -> np.ndarray:
        """Compute with whole arrays."""
        numbers = dtypes.numbers(array)
        along = [1] * array.ndim
        along[form.channels or 0] = -1
        first, second = (v.astype(numbers.dtype).reshape(along) for v in self.pairs())
        result: np.ndarray = self.combine(numbers, first, second)
        return result

    def compute(self, site: Site, value: str) -> list[str]:
        """Compute with one element, and constants in the text."""
        first, second = self.pairs()
        lines_of_first, c_first = c_operand(site, f"first{site.number}", first)
        lines_of_second, c_second = c_operand(site, f"second{site.number}", second)
        number = dtypes.c_number(site.before.dtype, value)
        result = site.result(self.c_combine(number, c_first, c_second))
        return [*lines_of_first, *lines_of_second, result]


def c_operand(site: Site, name: str, values: np.ndarray) -> tuple[list[str], str]:
    """Return C statements, and the expression of the number for an element's channel."""
    dtype, channels = site.after.dtype, site.before.channels
    constants = [dtypes.c_float(value, dtype) for value in values]
    if channels is None or len(constants) == 1:
        return [], constants[0]
    array = f"{name}[{len(constants)}] = {{{', '.join(constants)}}}"
    element = f"{name}[{site.coordinates[channels - 1]}]"
    return [f"static const {dtypes.c_type(dtype)} {array};"], element


@dataclass(frozen=True)
class Scale(PerChannelOp):
    """Multiply by a factor and add an offset.

    Parameters
    ----------
    factor, offset : float or sequence of float
        One number, or one for each channel.

    Raises
    ------
    ArgumentError
        If one is no finite number.
    """

    factor: PerChannel
    offset: PerChannel = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "factor", per_channel("Scale's factor", self.factor))
        object.__setattr__(self, "offset", per_channel("Scale's offset", self.offset))

    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Return factor and offset."""
        return np.array(self.factor), np.array(self.offset)

    def combine(self, number: Any, first: Any, second: Any) -> Any:
        """Multiply and add."""
        return number * first + second

    def c_combine(self, number: str, first: str, second: str) -> str:
        """Multiply and add; kernels are compiled so that this does not become one rounding."""
        return f"{number} * {first} + {second}"


@dataclass(frozen=True)
class Normalise(PerChannelOp):
    """Subtract the mean and divide by the standard deviation.

    Both in the unit of the values that arrive: for uint8 pixels 0 to 255, behind
    ``Scale(1 / 255)`` 0 to 1. Divides by multiplying with the reciprocal.

    Parameters
    ----------
    mean, std : float or sequence of float
        One number, or one for each channel.

    Raises
    ------
    ArgumentError
        If one is no finite number, or a deviation is not positive.
    """

    mean: PerChannel
    std: PerChannel

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", per_channel("Normalise's mean", self.mean))
        std = per_channel("Normalise's std", self.std)
        if min(std) < np.finfo(np.float32).tiny:  # float32 does not have the reciprocals of less
            raise ArgumentError("Normalise's std must be positive.", repr(self.std))
        object.__setattr__(self, "std", std)

    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the mean, and the deviation's reciprocal."""
        return np.array(self.mean), 1 / np.array(self.std)

    def combine(self, number: Any, first: Any, second: Any) -> Any:
        """Subtract and multiply."""
        return (number - first) * second

    def c_combine(self, number: str, first: str, second: str) -> str:
        """Subtract and multiply."""
        return f"({number} - {first}) * {second}"


@dataclass(frozen=True)
class OneHot(Op):
    """Turn each class number into a row with a one at its place.

    A class that there is not, such as -1, becomes zeros. The rows are a new last axis; a last axis
    of one element (labels of shape (N, 1)) becomes the rows.

    Parameters
    ----------
    classes : int
        How many there are.
    dtype : dtype-like, default float32
        Of the result.

    Raises
    ------
    ArgumentError
        If `classes` is no positive integer, or kernels do not know the dtype.
    """

    classes: int
    dtype: npt.DTypeLike = "float32"

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", size_argument("OneHot's classes", self.classes, 1))
        object.__setattr__(self, "dtype", dtypes.as_dtype(self.dtype))

    def fit(self, form: Form) -> Form:
        """Add the axis."""
        if dtypes.is_floating(form.dtype):
            raise self.misfit(
                form, 'labels must be integers; for class numbers put Cast("int64") before it.'
            )
        shape = (*self.outer_shape(form), self.classes)
        return Form(shape, np.dtype(self.dtype), len(shape) - 1)

    def outer_shape(self, form: Form) -> tuple[int, ...]:
        """Return the shape without a last axis of one element."""
        return form.shape[:-1] if len(form.shape) > 1 and form.shape[-1] == 1 else form.shape

    def on_host(self, array: np.ndarray, form: Form, draws: Draws, number: int) -> np.ndarray:
        """Compare with each class."""
        hot = array.reshape(*self.outer_shape(form), 1) == np.arange(self.classes)
        return dtypes.cast(hot.astype(np.uint8), np.dtype(self.dtype))

    def locate(self, site: Site) -> tuple[list[str], list[str]]:
        """Leave the class out."""
        dropped = len(site.before.shape) == len(site.after.shape)
        return [], [*site.coordinates[:-1], *(["0"] if dropped else [])]

    def compute(self, site: Site, value: str) -> list[str]:
        """Compare with the element's class."""
        hot = f"(u64){value} == (u64){site.coordinates[-1]}"  # below zero: larger than any class
        return [
            f"const u8 hot{site.number} = {hot};",
            site.result(dtypes.c_cast(np.dtype(np.uint8), site.after.dtype, f"hot{site.number}")),
        ]
