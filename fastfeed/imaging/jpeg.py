"""JPEG by libjpeg-turbo, with the numbers of Pillow, which uses the same library."""

from __future__ import annotations

from typing import Any

from fastfeed.imaging.colors import Image, from_inks, from_rgb
from fastfeed.imaging.formats import Broken, Buffer

SPACES = {"rgb": "RGB", "rgba": "RGBA", "grayscale": "GRAY"}
FOUR_INKS = ("CMYK", "YCCK")
SHRINKS = (8, 4, 2)
"""Divisors of the size for which the library has short cuts. Between them (5/8, 7/8 ...) it takes
longer than for the whole image.
"""
CUT_OFF = "Premature end of JPEG file"
END = b"\xff\xd9"
TAIL = 1 << 16
"""Bytes in which the end is looked for: some programs append data of their own to it."""


def header(data: Buffer) -> tuple[int, int, str] | None:
    """Return height, width and colour space; None if TurboJPEG does not know what it is."""
    import simplejpeg

    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError:
        return None
    return height, width, space


def decode_jpeg(
    data: Buffer, color_mode: str, least: tuple[int, int] | None, fast: bool
) -> Image | None:
    """Decode a JPEG file; None if TurboJPEG does not know its kind (colours divided oddly).

    Parameters
    ----------
    data, color_mode, least, fast
        As for `fastfeed.imaging.decode.decode`, but `least` is that of the image as it is stored.

    Raises
    ------
    Broken
        It ends too early, or is damaged so that nothing can be seen.
    """
    known = header(data)
    if known is None:
        return None
    height, width, space = known
    options: dict[str, Any] = {"fastdct": fast, "fastupsample": fast}
    by = _divisor(height, width, least)
    if by > 1:  # rounded up, as the library does
        options |= {"min_height": -(-height // by), "min_width": -(-width // by)}
    if space in FOUR_INKS:
        return from_inks(_pixels(data, "CMYK", options), color_mode)
    if color_mode == "grayscale" and not fast and space != "Gray":
        return from_rgb(_pixels(data, "RGB", options), color_mode)
    return _pixels(data, SPACES[color_mode], options)


def _divisor(height: int, width: int, least: tuple[int, int] | None) -> int:
    """Return by how much the size may be divided and be `least` still."""
    if least is None:
        return 1
    enough = (by for by in SHRINKS if height >= least[0] * by and width >= least[1] * by)
    return next(enough, 1)


def _pixels(data: Buffer, space: str, options: dict[str, Any]) -> Image:
    """Decode; bad bytes in the middle are passed over, an early end is an error."""
    import simplejpeg

    try:
        image: Image = simplejpeg.decode_jpeg(data, space, strict=True, **options)
        return image
    except ValueError as error:
        if CUT_OFF in str(error) or END not in bytes(data[-TAIL:]):
            raise Broken("the JPEG data end too early, as if a copy was interrupted") from None
    try:
        image = simplejpeg.decode_jpeg(data, space, strict=False, **options)
        return image
    except ValueError as error:
        raise Broken(f"its JPEG data are damaged ({error})") from None
