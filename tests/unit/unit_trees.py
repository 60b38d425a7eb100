"""Batches of every kind, made where they are asked for: NumPy's pickle would tidy them up."""

from __future__ import annotations

import collections
from typing import Any

import ml_dtypes
import numpy as np

Pair = collections.namedtuple("Pair", ["left", "right"])
BUILTIN = [*"?bBhHiIlLqQefdgFDG", "S3", "<U5", "V7", "M8[s]", "m8[ns]"]
SWAPPED = [
    f">{name}"
    for name in ["i2", "u4", "i8", "f2", "f4", "f8", "g", "c8", "c16", "G", "U5", "M8[D]"]
]
RECORD = np.dtype([("id", ">u4"), ("where", "f4", (2,)), ("name", "<U3")])
OTHERS = [
    value
    for value in vars(ml_dtypes).values()
    if isinstance(value, type) and issubclass(value, np.generic)
]
DTYPES = [np.dtype(each) for each in [*BUILTIN, *SWAPPED, RECORD, *OTHERS]]


def filled(dtype: np.dtype[Any], shape: tuple[int, ...] = (3, 5)) -> np.ndarray:
    """An array of a dtype with bytes that differ from each other."""
    array = np.zeros(shape, dtype)
    if dtype.kind in "SUV" and dtype.names is None and dtype.num < 256:
        return np.arange(array.size).astype("S2").reshape(shape).astype(dtype)
    if dtype.names is not None:
        array["id"], array["name"] = 7, "xyz"
        array["where"][..., 1] = 0.5
        return array
    return (np.arange(array.size) % 2).reshape(shape).astype(dtype)


def every_dtype(shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """An array of each dtype."""
    return {f"{number} {dtype}": filled(dtype, shape) for number, dtype in enumerate(DTYPES)}


def every_memory_layout() -> dict[str, np.ndarray]:
    """Arrays whose bytes do not lie in C order, or not as the machine likes them."""
    base = np.arange(60.0).reshape(3, 4, 5)
    return {
        "fortran": np.asfortranarray(base),
        "every other": base[:, ::2],
        "backwards": base[::-1, :, ::-1],
        "broadcast": np.broadcast_to(base[0], (6, 4, 5)),
        "transposed": base.T,
        "read-only": np.frombuffer(b"12345678", np.uint8),
        "misaligned": np.frombuffer(b"123456789", "<u4", 2, 1),
        "swapped and strided": base.astype(">f8")[:, 1:3],
        "bfloat16, strided": base.astype(ml_dtypes.bfloat16)[..., ::-1],
    }


class ArrayLike:
    """What other libraries offer: something that NumPy can look into."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.arange(6).reshape(2, 3)
