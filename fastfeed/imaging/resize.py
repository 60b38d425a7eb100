"""A box of an image, resized straight into its row of a batch.

As Keras: what Pillow's ``Image.resize`` gives, which Keras's ``load_img`` calls. For nearest the
same pixels are picked; the rest Pillow itself does. It weighs all pixels that become one; for
bilinear and bicubic OpenCV has short cuts, seven times as fast, and these are what `fast` asks for.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastfeed.errors import ArgumentError
from fastfeed.imaging.colors import Image

Row = npt.NDArray[np.uint8] | npt.NDArray[np.float32]

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos", "box", "hamming")
"""Keras's names of the ways to resize."""
QUICK = {"bilinear": "INTER_LINEAR", "bicubic": "INTER_CUBIC"}
"""What OpenCV is quicker at than Pillow."""
LONGEST_OF_REMAP = 32767
"""Pixels: OpenCV's maps are of int16."""


class Box(NamedTuple):
    """A part of an image, in pixels."""

    top: int
    left: int
    height: int
    width: int


def centre_box(image: tuple[int, int], size: tuple[int, int]) -> Box:
    """Return the greatest box in the middle of an image with the aspect ratio of `size`.

    Parameters
    ----------
    image, size : (height, width)
        In pixels.

    Notes
    -----
    Rounded as in Keras's ``load_img(keep_aspect_ratio=True)``; where that has nothing left of a
    side, one pixel is.
    """
    height = max(1, min(image[0], image[1] * size[0] // size[1]))
    width = max(1, min(image[1], image[0] * size[1] // size[0]))
    return Box((image[0] - height) // 2, (image[1] - width) // 2, height, width)


def resize(
    image: Image,
    out: Row,
    box: tuple[int, int, int, int] | None = None,
    interpolation: str = "nearest",
    *,
    fast: bool = False,
) -> None:
    """Write a box of an image to `out`, in its size.

    Parameters
    ----------
    image : array of uint8, (height, width, channels)
    out : array of uint8 or float32, (new height, new width, channels)
        A row of the batch. Values stay 0 to 255.
    box : (top, left, height, width), optional
        In pixels of `image`; all of it by default.
    interpolation : {"nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"}
    fast : bool
        Bilinear and bicubic with OpenCV. The numbers are not Keras's: off by some levels on the
        mean where much is shrunk.

    Raises
    ------
    ArgumentError
        Unknown `interpolation`; a box that is empty or not in the image.
    """
    if interpolation not in INTERPOLATIONS:
        raise ArgumentError(
            f"interpolation is one of {', '.join(INTERPOLATIONS)}.",
            f"interpolation={interpolation!r}",
        )
    part = Box(0, 0, *image.shape[:2]) if box is None else Box(*box)
    crop = _cropped(image, part)
    if crop.shape == out.shape:
        np.copyto(out, crop)
    elif interpolation == "nearest":
        _nearest(image, part, out)
    elif uses_pillow(interpolation, fast):
        _by_pillow(image, part, out, interpolation)
    else:
        _by_opencv(crop, out, interpolation)


def _cropped(image: Image, box: Box) -> Image:
    top, left, height, width = box
    crop = image[top : top + height, left : left + width] if min(top, left) >= 0 else image[:0]
    if crop.shape[:2] != (height, width) or not crop.size:
        raise ArgumentError(
            "box is (top, left, height, width) in pixels, of one pixel at least, and lies inside "
            f"the image of {image.shape[0]} x {image.shape[1]}.",
            f"box={tuple(box)}",
        )
    return crop


def uses_pillow(interpolation: str, fast: bool) -> bool:
    """Tell whether `resize` needs Pillow."""
    return interpolation != "nearest" and not (fast and interpolation in QUICK)


def _nearest(image: Image, box: Box, out: Row) -> None:
    """Pick the pixels that Pillow picks. OpenCV's INTER_NEAREST_EXACT, before its version 5, picks
    the neighbour of one in a thousand; and nobody rounds as INTER_NEAREST does.
    """
    import cv2

    if max(image.shape) > LONGEST_OF_REMAP:
        rows, columns = _rows_and_columns(box, out.shape[:2])
        out[...] = image[rows[:, None], columns]
        return
    remap: Any = cv2.remap  # its types forget that one map may do
    places = _map_of(box, out.shape[:2])
    _into(out, lambda dst: remap(image, places, None, cv2.INTER_NEAREST, dst=dst))


@functools.lru_cache(maxsize=16)
def _map_of(box: Box, size: tuple[int, int]) -> npt.NDArray[np.int16]:
    """Return the column and the row of each pixel, as OpenCV wants them. Many images have one size,
    and making it takes as long as using it.
    """
    rows, columns = _rows_and_columns(box, size)
    places = np.empty((*size, 2), np.int16)
    places[..., 0], places[..., 1] = columns, rows[:, None]
    return places


def _rows_and_columns(
    box: Box, size: tuple[int, int]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    return _places(box.top, box.height, size[0]), _places(box.left, box.width, size[1])


def _places(start: int, length: int, count: int) -> npt.NDArray[np.intp]:
    """Return the pixels under the middles of `count` equal parts of a line.

    Added up one by one, as Pillow does it: where a middle falls between two pixels, the errors of
    rounding decide.
    """
    steps = np.full(count, length / count)
    steps[0] = start + steps[0] * 0.5
    return np.cumsum(steps).astype(np.intp)


def _into(out: Row, make: Callable[[Any], Any]) -> None:
    """Have OpenCV write to `out`, or to an array of its own if it cannot."""
    if out.dtype == np.uint8 and out.flags.c_contiguous:
        make(out)
    else:
        np.copyto(out, make(None).reshape(out.shape))


def _by_opencv(crop: Image, out: Row, interpolation: str) -> None:
    import cv2

    height, width = out.shape[:2]
    how = getattr(cv2, QUICK[interpolation])
    halved = _halved(crop, height, width)
    _into(out, lambda dst: cv2.resize(halved, (width, height), dst=dst, interpolation=how))


def _halved(crop: Any, height: int, width: int) -> Any:
    """Average pairs of pixels until each of the new ones is made of two at the most: OpenCV looks
    at so many, and others would be passed over. It has the halving in its linear resizing; the
    average over any area (INTER_AREA) takes it ten times as long.
    """
    import cv2

    while crop.shape[0] > 2 * height or crop.shape[1] > 2 * width:
        rows, columns = crop.shape[0] // 2, crop.shape[1] // 2
        rows = rows if crop.shape[0] > 2 * height else crop.shape[0]
        columns = columns if crop.shape[1] > 2 * width else crop.shape[1]
        even = crop[: crop.shape[0] // rows * rows, : crop.shape[1] // columns * columns]
        crop = cv2.resize(even, (columns, rows), interpolation=cv2.INTER_LINEAR)
    return crop


def _by_pillow(image: Image, box: Box, out: Row, interpolation: str) -> None:
    from PIL import Image as Pillow

    whole = Pillow.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    edges = (box.left, box.top, box.left + box.width, box.top + box.height)
    how = Pillow.Resampling[interpolation.upper()]
    resized = whole.resize((out.shape[1], out.shape[0]), how, edges)
    np.copyto(out, np.asarray(resized).reshape(out.shape))
