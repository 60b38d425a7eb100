"""What decoders give, in the channels that are asked for; rounded as Pillow does it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
"""uint8, C-contiguous, of shape (height, width, channels)."""

CHANNELS: dict[str, int] = {"rgb": 3, "rgba": 4, "grayscale": 1}
"""How many channels an image has in each color mode."""
LUMA = np.array([19595, 38470, 7471], np.float32) / np.float32(65536)
"""Pillow's weights of red, green and blue in grey (ITU-R BT.601). Every sum of their products with
bytes is a multiple of 1/65536 below 256, so float32 holds it exactly.
"""


def from_rgb(image: Image, color_mode: str) -> Image:
    """Return an RGB image in `color_mode`."""
    if color_mode == "rgb":
        return image
    return _converted(image, "RGB2RGBA") if color_mode == "rgba" else _grey(image)


def from_inks(inks: Image, color_mode: str) -> Image:
    """Return what four inks look like, stored as Adobe does it: 255 is no ink."""
    product = inks[..., :3].astype(np.uint32) * inks[..., 3:] + 128
    return from_rgb(((product + (product >> 8)) >> 8).astype(np.uint8), color_mode)


def from_opencv(pixels: Any, color_mode: str) -> Image:
    """Return pixels as OpenCV reads them (grey, BGR or BGRA of any type) in `color_mode`."""
    pixels = _eight_bits(pixels)
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    if channels > 1:
        stored = "BGR" if channels == 3 else "BGRA"
        if color_mode == "rgba":
            return _converted(pixels, f"{stored}2RGBA")
        return from_rgb(_converted(pixels, f"{stored}2RGB"), color_mode)
    if color_mode == "grayscale":
        grey: Image = pixels[..., None] if pixels.ndim == 2 else pixels
        return grey
    return _converted(pixels, "GRAY2RGB" if color_mode == "rgb" else "GRAY2RGBA")


def _eight_bits(pixels: Any) -> Image:
    if pixels.dtype == np.uint16:
        pixels = pixels >> 8
    elif pixels.dtype != np.uint8:  # whole or floating numbers without a known range
        pixels = np.clip(pixels, 0, 255)
    image: Image = np.ascontiguousarray(pixels, dtype=np.uint8)
    return image


def _grey(image: Image) -> Image:
    rounded = image.astype(np.float32) @ LUMA + np.float32(0.5)
    return np.expand_dims(rounded.astype(np.uint8), -1)


def _converted(pixels: Any, how: str) -> Image:
    import cv2

    return np.asarray(cv2.cvtColor(pixels, getattr(cv2, f"COLOR_{how}")), np.uint8)
