"""Copies into slots, for sources with ``fill`` and for fastfeed itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastfeed import _core


def copyto(out: np.ndarray[Any, Any], array: np.ndarray[Any, Any]) -> None:
    """Copy `array` to `out`, as ``numpy.copyto(out, array)`` does, but faster for large arrays.

    From 1 MiB on, stores go around the cache of this core, where a batch that another process will
    read is of no use. Without the GIL. Arrays that differ in dtype or shape, or that are not
    contiguous, are left to NumPy.

    Parameters
    ----------
    out : numpy.ndarray
        Writable; usually a view of the slot, given to ``fill(index, out, rng)``.
    array : numpy.ndarray

    Examples
    --------
    >>> class Photos:
    ...     def fill(self, index, out, rng):
    ...         fastfeed.copyto(out[0], self.decoded[index])
    """
    same = out.dtype == array.dtype and out.shape == array.shape and not out.dtype.hasobject
    if same and out.flags.c_contiguous and array.flags.c_contiguous:
        _core.copy(out, array)
    else:
        np.copyto(out, array)
