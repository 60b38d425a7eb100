"""Image files become arrays: JPEG by libjpeg-turbo, the rest by OpenCV, a few by Pillow.

The numbers are those of Pillow, and so of Keras's ``load_img``: the same inverse DCT, the same
upsampling of colour, the same weights for grey. Two things differ on purpose:

- EXIF orientation is applied, so that the model sees what people see (`exif=False`: as Keras).
- Of 16 bits a channel the upper 8 are taken, where Keras makes all above 255 white.

As with Pillow, bad bytes in the middle of a JPEG file are passed over, and a file that ends early
is an error.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np

from fastfeed.errors import ArgumentError, ImageError
from fastfeed.imaging.colors import CHANNELS, Image, from_opencv
from fastfeed.imaging.formats import CHECKS, Broken, Buffer, format_of, orientation_of, upright
from fastfeed.imaging.jpeg import decode_jpeg, decoded_size
from fastfeed.imaging.resize import Box

ColorMode = Literal["rgb", "rgba", "grayscale"]
Source = str | os.PathLike[str] | Buffer

SILENT = 0
"""OpenCV's level for no messages."""
PILLOW_MODES = {"rgb": "RGB", "rgba": "RGBA", "grayscale": "L"}
CURE = (
    'Replace or remove the file, or go on without such files: on_error="skip" leaves them out, '
    'on_error="zeros" puts black images in their place.'
)


def decode(
    source: Source,
    color_mode: ColorMode = "rgb",
    least: tuple[int, int] | None = None,
    *,
    exif: bool = True,
    fast: bool = False,
) -> Image:
    """Decode an image file.

    Parameters
    ----------
    source : path or buffer
        The file's name, or its bytes.
    color_mode : {"rgb", "rgba", "grayscale"}
        What the channels are to be. Alpha is dropped, not blended; without one it is 255.
    least : (height, width), optional
        Pixels (of the upright image) that suffice. A JPEG image of twice, four or eight times as
        many each way is decoded to that part of its size at once, never to less than `least`.
    exif : bool
        Turn the image upright as its EXIF orientation says. Keras's ``load_img`` does not. (That of
        a TIFF file is always applied, here and there.)
    fast : bool
        Decode JPEG with the quick DCT and plain upsampling, and take grey from its luminance: some
        5 % faster, and next to edges of colour off by tens of levels.

    Returns
    -------
    array of uint8, (height, width, channels)
        C-contiguous and the caller's own.

    Raises
    ------
    ImageError
        The file cannot be read or decoded.
    ArgumentError
        `color_mode` is none of the three.
    """
    _check_mode(color_mode)
    return _named(source, read(source), color_mode, least, exif, fast)


def decode_part(
    source: Source,
    draw: Callable[[int, int], Box],
    color_mode: ColorMode = "rgb",
    least: tuple[int, int] | None = None,
    *,
    exif: bool = True,
    fast: bool = False,
) -> tuple[Image, Box]:
    """Decode as much of an image file as one part of it needs: of most JPEG files, the rows above.

    Parameters
    ----------
    draw : callable
        Is told the height and width that `decode` gives, and returns (top, left, height, width) of
        a part.
    source, color_mode, least, exif, fast
        As for `decode`.

    Returns
    -------
    image : array of uint8, (height, width, channels)
        What `decode` gives, at the least down to the part's end. The next call in this thread may
        write over it.
    part : Box
        What `draw` returned.

    Raises
    ------
    ImageError
        The file cannot be read or decoded.
    """
    _check_mode(color_mode)
    data = read(source)
    upright_already = not exif or orientation_of(data) == 1
    if upright_already and format_of(data) == "JPEG":
        size = decoded_size(data, least)
        if size is not None:
            part = draw(*size)
            with _naming(source):
                image = decode_jpeg(data, color_mode, least, fast, rows=part[0] + part[2])
                assert image is not None  # its header was read
                return image, part
    image = _named(source, data, color_mode, least, exif, fast)
    return image, draw(*image.shape[:2])


def _check_mode(color_mode: str) -> None:
    if color_mode not in CHANNELS:
        raise ArgumentError(
            "color_mode is one of 'rgb', 'rgba' and 'grayscale'.", f"color_mode={color_mode!r}"
        )


def _named(
    source: Source,
    data: Buffer,
    color_mode: ColorMode,
    least: tuple[int, int] | None,
    exif: bool,
    fast: bool,
) -> Image:
    orientation = orientation_of(data) if exif else 1
    if least is not None and orientation >= 5:
        least = (least[1], least[0])
    with _naming(source):
        return upright(_decoded(data, color_mode, least, fast), orientation)


@contextmanager
def _naming(source: Source) -> Iterator[None]:
    try:
        yield
    except Broken as error:
        raise ImageError(f"{name_of(source)} cannot be decoded: {error}. {CURE}") from None


def read(source: Source) -> Buffer:
    """Return a file's bytes, or the buffer itself.

    Raises
    ------
    ImageError
        The file cannot be read.
    """
    if not isinstance(source, (str, os.PathLike)):
        return source
    try:
        with open(source, "rb", buffering=0) as file:
            return file.readall()
    except OSError as error:
        why = error.strerror or str(error)
        raise ImageError(f"{name_of(source)} cannot be read: {why}. {CURE}") from error


def name_of(source: Source) -> str:
    """Write for people which image it is."""
    if isinstance(source, (str, os.PathLike)):
        return f"The image file {os.fspath(source)!r}"
    return f"The image of {len(source)} bytes"


def _decoded(
    data: Buffer, color_mode: ColorMode, least: tuple[int, int] | None, fast: bool
) -> Image:
    if not len(data):
        raise Broken("it is empty")
    kind = format_of(data)
    if kind == "JPEG":
        image = decode_jpeg(data, color_mode, least, fast)
        if image is not None:
            return image
    if kind in CHECKS:
        CHECKS[kind](data)
    pixels = _by_opencv(data)
    if pixels is None or _loses_alpha(data, kind, pixels, color_mode):
        return _by_pillow(data, kind, color_mode)
    return from_opencv(pixels, color_mode)


def _by_opencv(data: Buffer) -> Any:
    """Return the pixels as they are stored, channels in the order BGR; None if it cannot."""
    import cv2

    with _quiet_opencv():
        try:  # with its flags for colours it would round otherwise, and turn the image by itself
            return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        except cv2.error:
            return None


@contextmanager
def _quiet_opencv() -> Iterator[None]:
    """Keep OpenCV from writing to stderr what the exception says anyway."""
    import cv2

    logging: Any = getattr(cv2.utils, "logging", cv2)  # OpenCV 5 has it there
    level = logging.setLogLevel(SILENT)
    try:
        yield
    finally:
        logging.setLogLevel(level)


def _loses_alpha(data: Buffer, kind: str | None, pixels: Any, color_mode: str) -> bool:
    """Tell whether OpenCV reads this wrong: it multiplies the colours of TIFF by their alpha, and
    drops the alpha of grey.
    """
    tiff = kind is not None and kind.startswith("TIFF")
    if pixels.ndim == 3:
        return tiff and pixels.shape[2] == 4
    transparent = tiff or (kind == "PNG" and b"tRNS" in bytes(data).partition(b"IDAT")[0])
    return color_mode == "rgba" and transparent


def _by_pillow(data: Buffer, kind: str | None, color_mode: str) -> Image:
    """Decode what OpenCV cannot.

    Raises
    ------
    Broken
        Pillow cannot either, or is not installed.
    """
    what = f"its {kind} data are cut off or damaged" if kind else _no_image(data)
    try:
        from PIL import Image as Pillow
    except ImportError:
        raise Broken(
            f"{what}, or of a kind that OpenCV cannot read and Pillow (not installed) might"
        ) from None
    try:
        with warnings.catch_warnings(action="ignore"), Pillow.open(io.BytesIO(data)) as image:
            array = np.array(image.convert(PILLOW_MODES[color_mode]))
    except Exception as error:  # its plugins raise whatever zlib, struct and they themselves do
        raise Broken(f"{what} (Pillow: {error})") from None
    return array.reshape(*array.shape[:2], CHANNELS[color_mode])


def _no_image(data: Buffer) -> str:
    return f"it is no image of a known format, it begins with {bytes(data[:12])!r}"
