"""Each change of `images` is the one that ``ImageDataGenerator`` makes of the same parameters."""

from __future__ import annotations

import numpy as np
import pytest
from unit_images import keras_generator, picture

from fastfeed.imaging.augment import Augmentation, Change

CLOSE = 0.01
"""Of 255 levels: OpenCV interpolates with float32, SciPy with float64."""
MOVES = [
    {"theta": 17},
    {"theta": 90},
    {"tx": 3.3},
    {"ty": -5.75},
    {"tx": 4, "ty": -2},
    {"shear": 25},
    {"zx": 0.7, "zy": 1.3},
    {"theta": -160, "tx": 7.5, "ty": 2.25, "shear": 11, "zx": 1.9, "zy": 0.4},
]
FLIPS = [
    {"flip_horizontal": True},
    {"flip_vertical": True},
    {"flip_horizontal": True, "flip_vertical": True},
]
LEVELS = [
    {"channel_shift_intensity": 30.5},
    {"channel_shift_intensity": -77.7},
    {"brightness": 0.3},
    {"brightness": 1.0},
    {"brightness": 1.7},
]


def pixels(height=33, width=46, channels=3):
    image = np.array(picture(3, height, width).convert({1: "L", 3: "RGB", 4: "RGBA"}[channels]))
    image = image.reshape(height, width, channels)
    if channels == 4:
        image[..., 3] = np.arange(width) * 5
    return image


def keras(image, change, **arguments):
    return keras_generator(**arguments).apply_transform(image.astype("float32"), change)


@pytest.fixture
def keras_with_its_axes(monkeypatch):
    """Keras 3 with the line taken back that exchanges the axes, but neither height and width nor
    the centre: width_shift_range shifts the height there, and what is not square turns about a
    point that is not its centre. (keras_preprocessing has the axes right, the centre wrong.)
    """
    from keras.src.legacy.preprocessing import image as module

    def own(matrix, rows, columns):
        """As it was before; exchanged once more, so that the exchange afterwards undoes that."""
        matrix = centred(matrix, rows, columns)
        matrix[:, [0, 1]] = matrix[:, [1, 0]]
        matrix[[0, 1]] = matrix[[1, 0]]
        return matrix

    centred = module.transform_matrix_offset_center
    monkeypatch.setattr(module, "transform_matrix_offset_center", own)
    return keras


def ours(image, change, **arguments):
    given = image.copy()
    changed = Augmentation(**arguments).apply(given, Change(**change))
    np.testing.assert_array_equal(given, image)
    assert changed.shape == image.shape
    return changed


pytestmark = pytest.mark.filterwarnings("ignore:Please import `affine_transform`")  # in Keras


@pytest.mark.parametrize("move", MOVES, ids=str)
@pytest.mark.parametrize("fill", ["nearest", "constant", "reflect", "wrap"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_moves_are_those_of_keras(keras_with_its_axes, move, fill, channels):
    arguments = {"fill_mode": fill, "cval": 77.5}
    image = pixels(channels=channels)
    moved = ours(image, move, **arguments)
    assert moved.dtype == np.float32
    theirs = keras_with_its_axes(image, move, **arguments)
    np.testing.assert_allclose(moved, theirs, rtol=0, atol=CLOSE)


@pytest.mark.parametrize("move", MOVES, ids=str)
def test_moves_are_those_of_keras_3_with_its_axes_exchanged(move):
    image = pixels(40, 40)
    theirs = keras(image.transpose(1, 0, 2), move).transpose(1, 0, 2)
    np.testing.assert_allclose(ours(image, move), theirs, rtol=0, atol=CLOSE)


def test_a_shift_of_the_height_moves_up_or_down():
    image = pixels()
    np.testing.assert_allclose(ours(image, {"tx": 5})[:-5], image[5:], atol=CLOSE)
    np.testing.assert_allclose(ours(image, {"ty": 5})[:, :-5], image[:, 5:], atol=CLOSE)


@pytest.mark.parametrize("flip", FLIPS, ids=str)
@pytest.mark.parametrize("channels", [1, 3])
def test_flips_are_those_of_keras(keras_with_its_axes, flip, channels):
    image = pixels(channels=channels)
    np.testing.assert_array_equal(ours(image, flip), keras(image, flip))
    turned = {"theta": 30, "tx": 2, **flip}
    theirs = keras_with_its_axes(image, turned, fill_mode="constant")
    np.testing.assert_allclose(ours(image, turned, fill_mode="constant"), theirs, atol=CLOSE)


@pytest.mark.parametrize("levels", LEVELS, ids=str)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_levels_are_those_of_keras(levels, channels):
    image = pixels(channels=channels)
    arguments = {"brightness_range": (0.5, 2)}
    changed, theirs = ours(image, levels, **arguments), keras(image, levels, **arguments)
    np.testing.assert_array_equal(changed, theirs)


def test_all_at_once_is_what_keras_makes(keras_with_its_axes):
    image = pixels()
    change = {"theta": 21, "ty": 3, "flip_horizontal": True, "channel_shift_intensity": 25.0}
    theirs = keras_with_its_axes(image, change)
    np.testing.assert_allclose(ours(image, change), theirs, atol=CLOSE)
    change["brightness"] = 1.2  # the levels are cut to bytes, so what was close is one apart
    arguments = {"brightness_range": (0.5, 2)}
    difference = ours(image, change, **arguments) - keras_with_its_axes(image, change, **arguments)
    assert np.abs(difference).max() <= 2
    assert (difference != 0).mean() < 0.01


@pytest.mark.parametrize("fill", ["nearest", "constant", "reflect", "wrap"])
def test_the_nearest_pixel_is_keras_s(keras_with_its_axes, fill):
    image, arguments = pixels(), {"interpolation_order": 0, "fill_mode": fill}
    for move in ({"theta": 17}, {"tx": 3.3}, {"shear": 25}, {"zx": 0.7, "zy": 1.29, "ty": 0.1}):
        theirs = keras_with_its_axes(image, move, **arguments)
        np.testing.assert_array_equal(ours(image, move, **arguments), theirs)


@pytest.mark.parametrize("change", [*MOVES, *FLIPS, *LEVELS], ids=str)
def test_bytes_stay_bytes(keras_with_its_axes, change):
    image = pixels()
    changed = ours(image, change, as_float=False)
    assert changed.dtype == np.uint8
    difference = np.abs(changed - keras_with_its_axes(image, change))
    assert difference.max() <= (1 if change.get("channel_shift_intensity") else 0.51)


# -- what is drawn ------------------------------------------------------------------------------


def drawn(n=400, height=100, width=200, **arguments):
    """The changes of so many images, as columns."""
    augmentation, rng = Augmentation(**arguments), np.random.default_rng(5)
    changes = [augmentation.draw(rng, height, width) for _ in range(n)]
    return Change(*(np.array(column) for column in zip(*changes, strict=True)))


def assert_fills(values, low, high):
    """They lie between, all over the range."""
    assert low <= values.min() < low + 0.05 * (high - low)
    assert high - 0.05 * (high - low) < values.max() <= high


def test_nothing_is_drawn_unless_asked_for():
    assert set(zip(*drawn(), strict=True)) == {tuple(Change())}
    image = pixels()
    assert Augmentation().apply(image, Change()) is image


def test_ranges_are_filled():
    changes = drawn(
        rotation_range=30,
        shear_range=10,
        zoom_range=0.2,
        brightness_range=[0.5, 3],
        channel_shift_range=40.0,
        horizontal_flip=True,
    )
    assert_fills(changes.theta, -30, 30)
    assert_fills(changes.shear, -10, 10)
    assert_fills(changes.zx, 0.8, 1.2)
    assert_fills(changes.zy, 0.8, 1.2)
    assert not np.array_equal(changes.zx, changes.zy)
    assert_fills(changes.brightness, 0.5, 3)
    assert_fills(changes.channel_shift_intensity, -40, 40)
    assert 0.4 < changes.flip_horizontal.mean() < 0.6
    assert not changes.flip_vertical.any()
    assert_fills(drawn(zoom_range=(0.5, 2)).zx, 0.5, 2)


def test_ranges_may_stand_the_other_way_round():
    changes = drawn(zoom_range=[2, 0.5], brightness_range=(3, 0.5))
    assert_fills(changes.zx, 0.5, 2)
    assert_fills(changes.brightness, 0.5, 3)
    assert_fills(drawn(zoom_range=-0.2).zx, 0.8, 1.2)


def test_a_shift_below_one_is_a_part_of_the_side():
    changes = drawn(height_shift_range=0.25, width_shift_range=0.5)
    assert_fills(changes.tx, -25, 25)
    assert_fills(changes.ty, -100, 100)


def test_other_shifts_are_pixels_or_one_of_a_list():
    assert_fills(drawn(width_shift_range=7.5).ty, -7.5, 7.5)
    assert set(drawn(height_shift_range=3).tx) == {-2, -1, 0, 1, 2}
    assert set(drawn(width_shift_range=[2, 9]).ty) == {-9, -2, 2, 9}
    assert set(drawn(width_shift_range=(0.25, 0.5)).ty) == {-100, -50, 50, 100}
    assert set(drawn(width_shift_range=1).ty) == {0}
    assert np.abs(drawn(width_shift_range=10**12).ty).max() > 10**11  # and takes no memory


def test_keras_draws_the_same_shifts():
    """From the same argument: the values that can come at all."""
    for given in (3, [2, 9], (0.25, 0.5), 1, [-1, 0, 1], (-0.2, 0.2)):
        generator = keras_generator(width_shift_range=given)
        theirs = {generator.get_random_transform((100, 200, 3))["ty"] for _ in range(400)}
        assert theirs == set(drawn(width_shift_range=given).ty)
