"""Rotation, shift, shear, zoom and flips in one step: where each pixel comes from.

The matrix is Keras's: rotation . shift . shear . zoom about the centre of the image, from the
pixels that are made to those that there are. Coordinates are (row, column). Keras 3 (and tf_keras)
exchange the two at last, but not what they were made from: there `width_shift_range` shifts the
height, and a picture that is not square turns about a point beside its centre. Here it does not.
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

    border = cv2.BORDER_REFLECT if fill_mode == "reflect" else cv2.BORDER_REPLICATE
    if fill_mode == "wrap" or order == 0:
        moved = looked_up(image, move, fill_mode, order, border)
    else:
        a, b, c, d, e, f = move
        columns_first = np.array([[e, d, f], [b, a, c]])
        how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        size = image.shape[1], image.shape[0]
        moved = cv2.warpAffine(image, columns_first, size, flags=how, borderMode=border)
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


def looked_up(image: Image, move: Affine, fill_mode: str, order: int, border: int) -> Image:
    """Return the moved image by a table of where each pixel comes from: slower, for what no option
    of OpenCV's does as SciPy does it, its period of "wrap" and its rounding to the nearest pixel.
    """
    import cv2

    row, column = origins(image, move)
    if fill_mode == "wrap":
        row, column = within(row, image.shape[0]), within(column, image.shape[1])
    if order == 0:
        row, column = np.floor(row + 0.5), np.floor(column + 0.5)
    how = cv2.INTER_LINEAR if order else cv2.INTER_NEAREST
    tables = column.astype(np.float32), row.astype(np.float32)
    moved: Image = cv2.remap(image, *tables, how, borderMode=border)
    return moved


def within(origin: Image, size: int) -> Image:
    """Return coordinates brought into the image by whole periods, which are one pixel less than its
    size; those inside stay.
    """
    if size < 2:
        return np.zeros_like(origin)
    last = size - 1
    inside = (origin >= 0) & (origin <= last)
    return np.where(inside, origin, np.mod(origin, last))
