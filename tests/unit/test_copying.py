"""fastfeed.copyto is numpy.copyto, only faster."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from unit_sources import same
from unit_trees import DTYPES, filled

import fastfeed


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_dtype_is_copied(dtype: np.dtype) -> None:
    for shape in ((), (3, 5), (0, 4)):
        array = filled(dtype, shape)
        out = np.empty(shape, dtype)
        fastfeed.copyto(out, array)
        assert same(out, array)


def test_large_arrays_are_copied_to_the_last_byte() -> None:
    array = np.random.default_rng(0).integers(0, 255, (3 << 20) + 7, np.uint8)
    out = np.zeros(len(array) + 130, np.uint8)
    for start in (0, 1, 63):
        fastfeed.copyto(out[start : start + len(array)], array)
        assert np.array_equal(out[start : start + len(array)], array)
        assert not out[start + len(array) + 64 :].any()


def test_other_dtypes_shapes_and_strides_are_left_to_numpy() -> None:
    out = np.zeros((2, 3))
    fastfeed.copyto(out, np.arange(3, dtype=np.int8))
    assert out.tolist() == [[0, 1, 2]] * 2
    fastfeed.copyto(out.T, np.array([[5, 6]], np.float64))
    assert out.tolist() == [[5] * 3, [6] * 3]


def test_objects_are_copied_with_their_references() -> None:
    marker = object()
    array, out = np.zeros((2, 1), object), np.zeros((2, 1), object)
    array[:] = marker
    before = sys.getrefcount(marker)
    fastfeed.copyto(out, array)
    after = sys.getrefcount(marker)
    assert (out == array).all()
    assert after == before + 2


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="could not broadcast"):
        fastfeed.copyto(np.zeros(3), np.zeros(4))
    with pytest.raises(TypeError, match="Cannot cast"):
        fastfeed.copyto(np.zeros(3, np.int8), np.zeros(3))
    with pytest.raises(ValueError, match="read-only"):
        fastfeed.copyto(np.broadcast_to(np.zeros(3), (3,)), np.zeros(3))
