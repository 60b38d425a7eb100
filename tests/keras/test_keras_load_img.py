"""Image files are decoded and resized to the numbers of Keras's own ``load_img``."""

from pathlib import Path

import cv2
import keras
import numpy as np
import pytest

from fastfeed.imaging.colors import CHANNELS
from fastfeed.imaging.decode import decode
from fastfeed.imaging.resize import INTERPOLATIONS, centre_box, resize

SIZES = ((64, 64), (90, 40), (200, 300))


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> list[Path]:
    """Return a JPEG and a PNG file, of 137 x 180 pixels."""
    folder = tmp_path_factory.mktemp("images")
    coarse = np.random.default_rng(3).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    image = cv2.resize(coarse, (180, 137), interpolation=cv2.INTER_CUBIC)
    paths = [folder / "photograph.jpg", folder / "drawing.png"]
    for path in paths:
        assert cv2.imwrite(str(path), image)
    return paths


@pytest.mark.parametrize("keep_aspect_ratio", [False, True])
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("color_mode", CHANNELS)
def test_the_numbers_are_those_of_load_img(files, color_mode, interpolation, keep_aspect_ratio):
    for path in files:
        image = decode(path, color_mode, exif=False)
        for size in SIZES:
            loaded = keras.utils.load_img(path, color_mode, size, interpolation, keep_aspect_ratio)
            box = centre_box(image.shape[:2], size) if keep_aspect_ratio else None
            out = np.empty((*size, CHANNELS[color_mode]), np.float32)
            resize(image, out, box, interpolation)
            np.testing.assert_array_equal(out, keras.utils.img_to_array(loaded))


@pytest.mark.parametrize("color_mode", CHANNELS)
def test_without_a_size(files, color_mode):
    for path in files:
        loaded = keras.utils.img_to_array(keras.utils.load_img(path, color_mode))
        np.testing.assert_array_equal(decode(path, color_mode, exif=False), loaded)
