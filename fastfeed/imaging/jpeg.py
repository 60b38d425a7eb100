"""JPEG by libjpeg-turbo, with the numbers of Pillow, which uses the same library."""

from __future__ import annotations

import threading
from typing import Any

from fastfeed.imaging.colors import Image, from_inks, from_rgb
from fastfeed.imaging.formats import START_OF_SCAN, Broken, Buffer, check_size, jpeg_segments

_memory = threading.local()

SPACES = {"rgb": "RGB", "rgba": "RGBA", "grayscale": "GRAY"}
FOUR_INKS = ("CMYK", "YCCK")
SEQUENTIAL = (0xC0, 0xC1)
"""Markers of frames whose pixels come in one go, from top to bottom."""
ROWS_BELOW = 4
"""The last row's colours are mixed with those of the row of colours below it."""
MOST_SCRATCH = 1 << 26
"""Bytes of pixels that a thread keeps; one huge image is no reason to keep more."""
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


def decoded_size(data: Buffer, least: tuple[int, int] | None) -> tuple[int, int] | None:
    """Return the (height, width) that `decode_jpeg` will give; None where that returns None."""
    known = header(data)
    if known is None:
        return None
    height, width, _ = known
    by = _divisor(height, width, least)
    return -(-height // by), -(-width // by)  # rounded up, as the library does


def decode_jpeg(
    data: Buffer,
    color_mode: str,
    least: tuple[int, int] | None,
    fast: bool,
    rows: int | None = None,
) -> Image | None:
    """Decode a JPEG file; None if TurboJPEG does not know its kind (colours divided oddly).

    Parameters
    ----------
    data, color_mode, least, fast
        As for `fastfeed.imaging.decode.decode`, but `least` is that of the image as it is stored.
    rows : int, optional
        So many of the decoded image's rows suffice, from its top. There may be more, and they may
        lie where this thread's next such image will.

    Raises
    ------
    Broken
        It ends too early, or is damaged so that nothing can be seen.
    """
    known = header(data)
    if known is None:
        return None
    height, width, space = known
    check_size(height, width)
    by = _divisor(height, width, least)
    options: dict[str, Any] = {"fastdct": fast, "fastupsample": fast, "strict": True}
    if rows is not None:
        wanted = (rows + ROWS_BELOW) * by
        top = top_of(data, wanted) if wanted < height else None
        if top is not None:
            data, height, options["strict"] = top, wanted, False
        options["buffer"] = _scratch(4 * height * width)
    if by > 1:
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


def top_of(data: Buffer, rows: int) -> bytearray | None:
    """Return a file whose header says that the image has so many rows; None if it must be whole.

    The pixels of a sequential JPEG file with one scan come from top to bottom, so the library stops
    after these rows. It then skips what is left of the file up to its end, and warns of that, as of
    anything odd: so the end must be there, where a warning would tell that it is not.
    """
    if data[-2:] != END:
        return None
    frame = components = 0
    for marker, start, _ in jpeg_segments(data):
        if marker in SEQUENTIAL:
            frame, components = start, data[start + 5]
        elif marker == START_OF_SCAN and frame and data[start] == components:
            top = bytearray(data)
            top[frame + 1 : frame + 3] = rows.to_bytes(2, "big")
            return top
    return None


def _scratch(n_bytes: int) -> bytearray | None:
    """Return this thread's memory for pixels. Fresh memory costs a twentieth of decoding."""
    if n_bytes > MOST_SCRATCH:
        return None
    if len(getattr(_memory, "pixels", b"")) < n_bytes:
        _memory.pixels = bytearray(n_bytes)
    pixels: bytearray = _memory.pixels
    return pixels


def _pixels(data: Buffer, space: str, options: dict[str, Any]) -> Image:
    """Decode; bad bytes in the middle are passed over, an early end is an error."""
    import simplejpeg

    try:
        image: Image = simplejpeg.decode_jpeg(data, space, **options)
        return image
    except ValueError as error:
        if CUT_OFF in str(error) or END not in bytes(data[-TAIL:]):
            raise Broken("the JPEG data end too early, as if a copy was interrupted") from None
    try:
        image = simplejpeg.decode_jpeg(data, space, **options | {"strict": False})
        return image
    except ValueError as error:
        raise Broken(f"its JPEG data are damaged ({error})") from None
