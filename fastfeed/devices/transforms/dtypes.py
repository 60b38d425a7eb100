"""The dtypes that ops compute with: how they are cast, in a kernel and by NumPy.

A kernel holds a value as it lies in memory. Ops that compute turn it into a *number* first: float64
for float64, float32 for everything else. Each rule stands here twice, as C text and for NumPy.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fastfeed.errors import ArgumentError

INTEGERS = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
FLOATS = ("float16", "bfloat16", "float32", "float64")
C_TYPES = {
    "bool": "u8",
    **{name: name.replace("uint", "u").replace("int", "i") for name in INTEGERS[1:]},
    **{name: name.replace("float", "f") for name in FLOATS},
}
"""The C type of an element in memory, by the dtype's name."""


def as_dtype(asked: npt.DTypeLike) -> np.dtype[Any]:
    """Return the dtype that an op was asked for.

    Raises
    ------
    ArgumentError
        If it is none that a kernel computes with, or bfloat16 without ``ml_dtypes``.
    """
    if str(asked) == "bfloat16":
        return bfloat16()
    try:
        dtype = np.dtype("O" if asked is None else asked)  # None would be float64
    except TypeError:
        dtype = np.dtype("O")
    if not is_supported(dtype):
        names = ", ".join((*INTEGERS, *FLOATS))
        raise ArgumentError(f"The dtype must be one of {names}.", repr(asked))
    return dtype


def bfloat16() -> np.dtype[Any]:
    """Return the dtype of brain floats, which NumPy has from another package."""
    try:
        import ml_dtypes
    except ImportError as error:
        raise ArgumentError(
            "bfloat16 needs the package ml_dtypes, which is not installed: pip install ml_dtypes.",
            "'bfloat16'",
        ) from error
    dtype: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
    return dtype


def is_supported(dtype: np.dtype[Any]) -> bool:
    """Tell whether kernels know the dtype, in the machine's byte order."""
    return dtype.name in C_TYPES and bool(dtype.isnative)


def is_floating(dtype: np.dtype[Any]) -> bool:
    """Tell whether a dtype has fractions."""
    return dtype.name in FLOATS


def number_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype in which ops compute with values of `dtype`."""
    return np.dtype(np.float64 if dtype == np.float64 else np.float32)


# -- in a kernel ----------------------------------------------------------------------------


def c_type(dtype: np.dtype[Any]) -> str:
    """Return the C type of an element in memory."""
    return C_TYPES[dtype.name]


def c_float(value: float, dtype: np.dtype[Any]) -> str:
    """Write a float exactly, rounded to `dtype` (float32 or float64) first."""
    return float(dtype.type(value)).hex() + ("f" if dtype == np.float32 else "")


def c_number(dtype: np.dtype[Any], value: str) -> str:
    """Return the C expression of a value as a number."""
    if dtype.name in ("float16", "bfloat16"):
        return f"{c_type(dtype)}_to_f32({value})"
    return value if is_floating(dtype) else f"(f32){value}"


def c_cast(before: np.dtype[Any], after: np.dtype[Any], value: str) -> str:
    """Return the C expression of `cast`."""
    number = c_number(before, value)
    if before == after:
        return value
    if after == np.bool_:
        return f"{number if is_floating(before) else value} != 0"
    if not is_floating(after):
        if is_floating(before):
            return f"SATURATED({number}, {c_type(after)}, {c_bounds(after)})"
        return c_clamped(before, after, value)
    if after == np.float64:
        return f"(f64){number if is_floating(before) else value}"
    return f"(f32){number}" if after == np.float32 else f"f32_to_{c_type(after)}((f32){number})"


def c_integer(value: int) -> str:
    """Write an integer of up to 64 bits. C has no negative literals, so the lowest is a sum."""
    if value > np.iinfo(np.int64).max:
        return f"{value}ull"
    return f"{value}ll" if value > np.iinfo(np.int64).min else f"({value + 1}ll - 1)"


def c_bounds(dtype: np.dtype[Any]) -> str:
    """Write an integer dtype's lowest and highest value, and the power of two above that."""
    low, high = bounds(dtype)
    return f"{c_integer(low)}, {c_integer(high)}, {float(high + 1).hex()}f"


def c_clamped(before: np.dtype[Any], after: np.dtype[Any], value: str) -> str:
    """Return the C expression of an integer cast: only bounds that can be crossed are compared.

    Those fit into the type before the cast, so the comparisons are between equal types.
    """
    (low, high), (lowest, highest) = bounds(after), bounds(before)
    source, text = c_type(before), f"({c_type(after)}){value}"
    if highest > high:
        text = f"{value} > ({source}){c_integer(high)} ? {c_integer(high)} : {text}"
    if lowest < low:
        text = f"{value} < ({source}){c_integer(low)} ? {c_integer(low)} : {text}"
    return text


# -- by NumPy -------------------------------------------------------------------------------


def bounds(dtype: np.dtype[Any]) -> tuple[int, int]:
    """Return the lowest and the highest value of an integer dtype or of bool."""
    if dtype == np.bool_:
        return 0, 1
    info = np.iinfo(dtype)
    return int(info.min), int(info.max)


def numbers(array: np.ndarray) -> np.ndarray:
    """Return the array as the numbers that ops compute with."""
    return array.astype(number_dtype(array.dtype), copy=False)


def cast(array: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """Cast by the rules of `Cast`."""
    if array.dtype == dtype:
        return array
    if dtype == np.bool_:
        return np.asarray(array != 0)
    if not is_floating(dtype):
        return saturated(array, dtype)
    if dtype == np.float64:
        return array.astype(dtype)
    return array.astype(np.float32).astype(dtype)


def saturated(array: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """Cast to integers: towards zero, to the nearest that there is, NaN to zero."""
    low, high = bounds(dtype)
    if not is_floating(array.dtype):
        lowest, highest = bounds(array.dtype)
        return array.clip(max(low, lowest), min(high, highest)).astype(dtype)
    array = numbers(array)
    above, below = array >= float(high + 1), array <= float(low)
    inside = np.where(above | below | np.isnan(array), 0, array).astype(dtype)
    return np.where(above, dtype.type(high), np.where(below, dtype.type(low), inside))
