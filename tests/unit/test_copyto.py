"""`fastfeed.copyto` does what `numpy.copyto` does."""

from __future__ import annotations

import numpy as np
import pytest

import fastfeed


@pytest.mark.parametrize("size", [0, 1, 63, 1 << 18, (1 << 20) + 17])
def test_it_copies_every_byte_below_and_above_the_streaming_size(size: int) -> None:
    array = np.random.default_rng(size).integers(0, 255, size, np.uint8)
    out = np.zeros(size + 64, np.uint8)
    fastfeed.copyto(out[7 : 7 + size], array)
    assert np.array_equal(out[7 : 7 + size], array)
    assert not out[:7].any() and not out[7 + size :].any()


@pytest.mark.parametrize(
    "array", [np.arange(6.0).reshape(2, 3)[:, ::-1], np.arange(3), np.array(5, np.int16)]
)
def test_other_layouts_dtypes_and_shapes_are_converted_as_numpy_does(array: np.ndarray) -> None:
    out, expected = np.zeros((2, 3), np.float32), np.zeros((2, 3), np.float32)
    fastfeed.copyto(out, array)
    np.copyto(expected, array)
    assert np.array_equal(out, expected)


def test_a_read_only_target_is_refused() -> None:
    out = np.zeros(3)
    out.flags.writeable = False
    with pytest.raises((ValueError, BufferError)):
        fastfeed.copyto(out, np.ones(3))
