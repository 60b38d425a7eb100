"""Rotation, shift, shear, zoom and flips in one step: where each pixel comes from.

The matrix is the one of `keras_preprocessing` (and of Keras 1 and 2 before they took it over with
an exchange of axes): rotation . shift . shear . zoom about the centre of the image, from the pixels
that are made to those that there are. Coordinates are (row, column).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[Any]
FILL_MODES = ("nearest", "constant", "reflect", "wrap")
"""What lies outside of an image, by SciPy's names."""


class Affine(NamedTuple):
    """Pixel (i, j) comes from (a i + b j + c, d i + e j + f)."""

    a: float
    b: float
    c: float
    d: float
    e: float
    f: float


def affine(
    shape: tuple[int, int],
    theta: float = 0.0,
    tx: float = 0.0,
    ty: float = 0.0,
    shear: float = 0.0,
    zx: float = 1.0,
    zy: float = 1.0,
) -> Affine:
    """Return the matrix of Keras's parameters for an image of `shape` (height, width).

    Parameters
    ----------
    theta, shear : float
        In degrees.
    tx, ty : float
        Shift along the rows' axis (down or up) and the columns', in pixels.
    zx, zy : float
        Zoom along the same two; 0.5 shows half of the picture, twice as large.
    """
    turn, slant = math.radians(theta), math.radians(shear)
    cos, sin = math.cos(turn), math.sin(turn)
    a, b = cos * zx, (-cos * math.sin(slant) - sin * math.cos(slant)) * zy
    d, e = sin * zx, (-sin * math.sin(slant) + cos * math.cos(slant)) * zy
    row, column = shape[0] / 2 - 0.5, shape[1] / 2 - 0.5
    c = cos * tx - sin * ty + row - a * row - b * column
    f = sin * tx + cos * ty + column - d * row - e * column
    return Affine(a, b, c, d, e, f)


def flipped(move: Affine, shape: tuple[int, int], horizontal: bool, vertical: bool) -> Affine:
    """Return the matrix of `move` with flips after it."""
    a, b, c, d, e, f = move
    if horizontal:
        last = shape[1] - 1
        b, c, e, f = -b, c + b * last, -e, f + e * last
    if vertical:
        last = shape[0] - 1
        a, c, d, f = -a, c + a * last, -d, f + d * last
    return Affine(a, b, c, d, e, f)


def warp(image: Image, move: Affine, fill_mode: str, cval: float, order: int) -> Image:
    """Return the moved image: as ``scipy.ndimage.affine_transform`` would make each channel.

    Parameters
    ----------
    image : array of uint8 or float32, (height, width, channels)
    order : {0, 1}
        Of the interpolation: the nearest pixel, or linear.
    """
    import cv2

    height, width = image.shape[:2]
    if fill_mode == "wrap":
        return wrapped(image, move, order)
    a, b, c, d, e, f = move
    columns_first = np.array([[e, d, f], [b, a, c]])
    flags = (cv2.INTER_LINEAR if order else cv2.INTER_NEAREST) | cv2.WARP_INVERSE_MAP
    border = cv2.BORDER_REFLECT if fill_mode == "reflect" else cv2.BORDER_REPLICATE
    moved = cv2.warpAffine(image, columns_first, (width, height), flags=flags, borderMode=border)
    moved = moved.reshape(image.shape)  # cv2 drops an axis of length 1
    if fill_mode == "constant":
        moved[is_outside(image, move)] = cval
    return moved


def origins(image: Image, move: Affine) -> tuple[Image, Image]:
    """Return the row and the column that each pixel comes from."""
    rows = np.arange(image.shape[0], dtype=np.float64)[:, None]
    columns = np.arange(image.shape[1], dtype=np.float64)
    return (
        move.a * rows + (move.b * columns + move.c),
        move.d * rows + (move.e * columns + move.f),
    )


def is_outside(image: Image, move: Affine) -> npt.NDArray[np.bool_]:
    """Tell which pixels come from outside of the image. SciPy fills these and blends none with the
    constant; OpenCV's own border would be blended over the width of a pixel.
    """
    row, column = origins(image, move)
    inside = (row >= 0) & (row <= image.shape[0] - 1)
    inside &= (column >= 0) & (column <= image.shape[1] - 1)
    outside: npt.NDArray[np.bool_] = ~inside
    return outside


def wrapped(image: Image, move: Affine, order: int) -> Image:
    """Return the moved image, repeated in all directions with a period of one pixel less than its
    size: so does SciPy's "wrap", and no border of OpenCV's.
    """
    import cv2

    row, column = (
        within(origin, size).astype(np.float32)
        for origin, size in zip(origins(image, move), image.shape, strict=False)
    )
    how = cv2.INTER_LINEAR if order else cv2.INTER_NEAREST
    moved: Image = cv2.remap(image, column, row, how, borderMode=cv2.BORDER_REPLICATE)
    return moved.reshape(image.shape)


def within(origin: Image, size: int) -> Image:
    """Return coordinates brought into the image by whole periods; those inside stay."""
    if size < 2:
        return np.zeros_like(origin)
    last = size - 1
    inside = (origin >= 0) & (origin <= last)
    return np.where(inside, origin, np.mod(origin, last))
