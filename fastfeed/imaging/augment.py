"""The random changes of ``ImageDataGenerator``: what they are, drawn, and made.

To draw and to make is apart, so that the second can be compared with Keras's ``apply_transform``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastfeed.errors import ArgumentError
from fastfeed.imaging.affine import FILL_MODES, affine, flipped, warp
from fastfeed.imaging.ranges import Shift, Shifts, number_of, pair_of, zoom_limits

Image = npt.NDArray[Any]
LEVELS = np.arange(256, dtype=np.float32)


class Change(NamedTuple):
    """What happens to one image; the names are those of Keras's ``apply_transform``.

    `tx` moves it along its height and `ty` along its width, in pixels.
    """

    theta: float = 0.0
    tx: float = 0.0
    ty: float = 0.0
    shear: float = 0.0
    zx: float = 1.0
    zy: float = 1.0
    flip_horizontal: bool = False
    flip_vertical: bool = False
    channel_shift_intensity: float | None = None
    brightness: float | None = None


STILL = Change()[:6]


class Augmentation:
    """What may happen to an image: the arguments of ``ImageDataGenerator`` of these names.

    Parameters
    ----------
    as_float : bool
        The result may be float32, which has levels between levels; else it is always uint8.

    Raises
    ------
    ArgumentError
        If one of the arguments makes no sense.
    """

    def __init__(
        self,
        *,
        rotation_range: float = 0,
        width_shift_range: Shift = 0.0,
        height_shift_range: Shift = 0.0,
        brightness_range: Sequence[float] | None = None,
        shear_range: float = 0.0,
        zoom_range: float | Sequence[float] = 0.0,
        channel_shift_range: float = 0.0,
        fill_mode: str = "nearest",
        cval: float = 0.0,
        horizontal_flip: bool = False,
        vertical_flip: bool = False,
        interpolation_order: int = 1,
        as_float: bool = True,
    ) -> None:
        cval = number_of(cval, "cval")
        check_filling(fill_mode, interpolation_order)
        if not (as_float and brightness_range is None) and not 0 <= cval <= 255:
            raise ArgumentError(
                "cval must be 0 to 255 with brightness_range or dtype='uint8', because the pixels "
                "are bytes then.",
                f"cval={cval!r}",
            )
        self._turn = abs(number_of(rotation_range, "rotation_range"))
        self._slant = abs(number_of(shear_range, "shear_range"))
        self._down = Shifts.of(height_shift_range, "height_shift_range")
        self._right = Shifts.of(width_shift_range, "width_shift_range")
        self._zoom = zoom_limits(zoom_range)
        self._channels = abs(number_of(channel_shift_range, "channel_shift_range"))
        self._brightness = None
        if brightness_range is not None:
            self._brightness = pair_of(brightness_range, "brightness_range")
        self._horizontal, self._vertical = horizontal_flip, vertical_flip
        self._fill_mode, self._cval, self._order = fill_mode, cval, interpolation_order
        self._as_float = as_float

    def draw(self, rng: np.random.Generator, height: int, width: int) -> Change:
        """Draw what happens to one image of this size."""
        turn, slant, zoom, brightness = self._turn, self._slant, self._zoom, self._brightness
        return Change(
            theta=rng.uniform(-turn, turn) if turn else 0.0,
            tx=self._down.draw(rng, height) if self._down else 0.0,
            ty=self._right.draw(rng, width) if self._right else 0.0,
            shear=rng.uniform(-slant, slant) if slant else 0.0,
            zx=rng.uniform(*zoom) if zoom else 1.0,
            zy=rng.uniform(*zoom) if zoom else 1.0,
            flip_horizontal=self._horizontal and rng.random() < 0.5,
            flip_vertical=self._vertical and rng.random() < 0.5,
            channel_shift_intensity=(
                rng.uniform(-self._channels, self._channels) if self._channels else None
            ),
            brightness=rng.uniform(*brightness) if brightness else None,
        )

    def apply(self, image: Image, change: Change) -> Image:
        """Return the changed image.

        Parameters
        ----------
        image : array of uint8, (height, width, channels)

        Returns
        -------
        array of uint8 or (`as_float`) float32, of the same shape; `image` itself if nothing is done
        """
        if change[:6] != STILL:
            image = self._moved(image, change)
        elif change.flip_horizontal or change.flip_vertical:
            image = mirrored(image, change.flip_horizontal, change.flip_vertical)
        if change.channel_shift_intensity is not None:
            image = channels_shifted(image, change.channel_shift_intensity, self._as_float)
        if change.brightness is not None:
            image = brightened(image, change.brightness)
        return image

    def _moved(self, image: Image, change: Change) -> Image:
        shape = image.shape[:2]
        move = affine(shape, *change[:6])
        if change.flip_horizontal or change.flip_vertical:
            move = flipped(move, shape, change.flip_horizontal, change.flip_vertical)
        if self._as_float:
            image = image.astype(np.float32)
        return warp(image, move, self._fill_mode, self._cval, self._order)


# -- what happens to the levels -------------------------------------------------------------


def mirrored(image: Image, horizontal: bool, vertical: bool) -> Image:
    """Return the image with left and right, top and bottom, or both exchanged."""
    import cv2

    code = -1 if horizontal and vertical else int(horizontal)
    return cv2.flip(image, code).reshape(image.shape)  # cv2 drops an axis of length 1


def channels_shifted(image: Image, intensity: float, as_float: bool) -> Image:
    """Add to all channels, within the levels that the image has anyway."""
    low, high = image.min(), image.max()
    if image.dtype != np.uint8:
        shifted: Image = np.clip(image + np.float32(intensity), low, high)
        return shifted
    table = np.clip(LEVELS + np.float32(intensity), low, high)
    return looked_up(image, table if as_float else table.astype(np.uint8))


def brightened(image: Image, factor: float) -> Image:
    """Multiply the levels as ``PIL.ImageEnhance.Brightness`` does: cut to bytes before and after;
    not those of alpha.
    """
    levels = image.astype(np.uint8, copy=False)
    table = np.clip(LEVELS * np.float32(factor), 0, 255).astype(np.uint8)
    if image.shape[2] < 4:
        return looked_up(levels, table)
    bright = looked_up(levels, table)
    bright[..., 3] = levels[..., 3]
    return bright


def looked_up(image: Image, table: npt.NDArray[Any]) -> Image:
    """Replace each level by its entry in a table of 256."""
    import cv2

    return cv2.LUT(image, table).reshape(image.shape)


# -- reading the arguments ------------------------------------------------------------------


def check_filling(fill_mode: str, order: int) -> None:
    """Refuse ways to fill and to interpolate that there are not."""
    if fill_mode not in FILL_MODES:
        raise ArgumentError(
            f"fill_mode must be one of {', '.join(map(repr, FILL_MODES))}.",
            f"fill_mode={fill_mode!r}",
        )
    if order not in (0, 1):
        raise ArgumentError(
            "interpolation_order is 0 (the nearest pixel) or 1 (linear). For splines keep "
            "ImageDataGenerator; fastfeed feeds what its flow... methods return as it is.",
            f"interpolation_order={order!r}",
        )
