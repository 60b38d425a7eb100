"""Boxes of images are resized to Pillow's numbers, or near them, straight into a given row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from unit_pixels import photograph, with_alpha

from fastfeed.errors import ArgumentError
from fastfeed.imaging.colors import Image
from fastfeed.imaging.resize import INTERPOLATIONS, Box, centre_box, resize

PHOTO = photograph(180, 240)
BY_CHANNELS = {1: PHOTO[..., :1].copy(), 3: PHOTO, 4: with_alpha(PHOTO)}
MEAN_DIFFERENCE = {"bilinear": 3.0, "bicubic": 3.0}
"""Levels of 255, of OpenCV (fast) from Pillow, as the mean over an image with edges."""


def by_pillow(image: Image, size: tuple[int, int], how: str, box: Box | None = None) -> Image:
    """Pillow's resize, for arrays."""
    picture = Pillow.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    edges = box and (box.left, box.top, box.left + box.width, box.top + box.height)
    resized = picture.resize(size[::-1], Pillow.Resampling[how.upper()], edges)
    return np.asarray(resized).reshape(*size, image.shape[2])


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("size", [(56, 56), (180, 100), (400, 250), (1, 1)])
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_exact_is_pillow_to_the_last_bit(
    interpolation: str, size: tuple[int, int], channels: int, dtype: str
) -> None:
    image = BY_CHANNELS[channels]
    batch = np.full((3, *size, channels), 7, dtype)
    resize(image, batch[1], interpolation=interpolation)
    np.testing.assert_array_equal(batch[1], by_pillow(image, size, interpolation))
    assert (batch[[0, 2]] == 7).all()
    box = Box(11, 30, 95, 77)
    resize(image, batch[2], box, interpolation)
    np.testing.assert_array_equal(batch[2], by_pillow(image, size, interpolation, box))


sides = st.integers(1, 3000)


@given(sides, sides, sides)
@example(32768, 1, 224)
@example(65536, 3, 65535)
@settings(max_examples=200)
def test_nearest_picks_pillows_pixels_at_any_size(before: int, start: int, after: int) -> None:
    """Along either axis."""
    numbers = np.arange(start, start + before)
    image = np.stack([numbers % 256, numbers // 256 % 256, numbers // 65536], -1).astype(np.uint8)
    for axis in (0, 1):
        line = np.expand_dims(image, axis)
        out = np.expand_dims(np.empty((after, 3), np.uint8), axis)
        resize(line, out)
        np.testing.assert_array_equal(out, by_pillow(line, out.shape[:2], "nearest"))


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("size", [(56, 56), (150, 200), (400, 250)])
@pytest.mark.parametrize("interpolation", MEAN_DIFFERENCE)
def test_fast_is_near(interpolation: str, size: tuple[int, int], dtype: str) -> None:
    out = np.zeros((*size, 3), dtype)
    resize(PHOTO, out, interpolation=interpolation, fast=True)
    difference = np.abs(out - by_pillow(PHOTO, size, interpolation).astype(float)).mean()
    assert 0 < difference < MEAN_DIFFERENCE[interpolation]


def test_fast_averages_where_many_pixels_become_one() -> None:
    stripes = np.zeros((400, 400, 3), np.uint8)
    stripes[:, ::2] = 255
    out = np.empty((50, 50, 3), np.uint8)
    resize(stripes, out, interpolation="bilinear", fast=True)
    np.testing.assert_allclose(out, 127.5, atol=1)  # and no stripes, neither black nor white


@given(st.integers(1, 900), st.integers(1, 900))
@settings(max_examples=60)
def test_fast_is_even_everywhere(height: int, width: int) -> None:
    """Whatever was halved how often, and its last row left out."""
    out = np.empty((40, 50, 3), np.uint8)
    resize(np.full((height, width, 3), 200, np.uint8), out, interpolation="bilinear", fast=True)
    assert (out == 200).all()


@pytest.mark.parametrize("interpolation", ["lanczos", "box", "hamming"])
def test_fast_changes_nothing_else(interpolation: str) -> None:
    out = np.zeros((56, 56, 3), np.uint8)
    resize(PHOTO, out, interpolation=interpolation, fast=True)
    np.testing.assert_array_equal(out, by_pillow(PHOTO, (56, 56), interpolation))


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_what_has_its_size_is_copied(interpolation: str, fast: bool) -> None:
    out = np.empty((60, 70, 3), np.float32)
    resize(PHOTO, out, (5, 6, 60, 70), interpolation, fast=fast)
    np.testing.assert_array_equal(out, PHOTO[5:65, 6:76])


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_rows_that_are_not_contiguous(interpolation: str, fast: bool) -> None:
    plain = np.empty((50, 60, 3), np.uint8)
    resize(PHOTO, plain, interpolation=interpolation, fast=fast)
    planes = np.empty((3, 50, 60), np.uint8)  # channels first
    resize(PHOTO, planes.transpose(1, 2, 0), interpolation=interpolation, fast=fast)
    np.testing.assert_array_equal(planes.transpose(1, 2, 0), plain)


@pytest.mark.parametrize(
    "box", [(0, 0, 0, 5), (0, 0, 5, -1), (-1, 0, 5, 5), (170, 0, 11, 5), (0, 236, 5, 5)]
)
def test_a_box_that_is_not_in_the_image(box: tuple[int, int, int, int]) -> None:
    with pytest.raises(ArgumentError, match=r"180 x 240.*Received: box=\("):
        resize(PHOTO, np.empty((5, 5, 3), np.uint8), box)


def test_an_interpolation_that_does_not_exist() -> None:
    with pytest.raises(ArgumentError, match=r"hamming.*Received: interpolation='area'"):
        resize(PHOTO, np.empty((5, 5, 3), np.uint8), interpolation="area")


def test_the_middle() -> None:
    assert centre_box((375, 500), (224, 224)) == (0, 62, 375, 375)
    assert centre_box((500, 375), (224, 224)) == (62, 0, 375, 375)
    assert centre_box((100, 100), (50, 100)) == (25, 0, 50, 100)
    assert centre_box((60, 60), (60, 60)) == (0, 0, 60, 60)
    assert centre_box((5, 1), (100, 300)) == (2, 0, 1, 1)  # a third of a pixel high would be right
    assert centre_box((1, 5), (300, 100)) == (0, 2, 1, 1)
