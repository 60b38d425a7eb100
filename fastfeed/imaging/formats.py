"""What an image file says about itself before it is decoded: its format, and which way is up."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Buffer = bytes | bytearray | memoryview

MAGIC = {
    "JPEG": b"\xff\xd8\xff",
    "PNG": b"\x89PNG\r\n\x1a\n",
    "GIF": b"GIF8",
    "BMP": b"BM",
    "TIFF": b"II*\0",
    "TIFF (big-endian)": b"MM\0*",
    "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n",
}
MOST_PIXELS = 2 * 89_478_485
"""Pillow refuses more, too: a damaged header would cost gigabytes and minutes."""
EXIF = b"Exif\0\0"
ORIENTATION = 0x0112
"""The EXIF tag that says how the camera was held."""
BYTE_ORDERS = {b"II": "<", b"MM": ">"}
APP1, START_OF_SCAN = 0xE1, 0xDA
LONE_MARKERS = {0x01, *range(0xD0, 0xDA)}
"""JPEG markers without a length behind them."""


class Broken(Exception):
    """Bytes that are no image; the message says what is wrong with them."""


def format_of(data: Buffer) -> str | None:
    """Return the name of a file's format by its first bytes; None where they are no image's."""
    head = bytes(data[:16])
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[4:12] in (b"ftypavif", b"ftypavis"):
        return "AVIF"
    return next((name for name, magic in MAGIC.items() if head.startswith(magic)), None)


def check_size(height: int, width: int) -> None:
    """Refuse more pixels than any image for training has.

    Raises
    ------
    Broken
        There are more.
    """
    if height * width > MOST_PIXELS:
        raise Broken(f"its header speaks of {width} x {height} pixels, which must be damage")


def orientation_of(data: Buffer) -> int:
    """Return the EXIF orientation of a JPEG, PNG or WebP file, 1 to 8; 1 (upright) without one.

    A TIFF file has it too, but whoever decodes that applies it at once. The numbers are those of
    the EXIF standard (CIPA DC-008, section 4.6.4 A).
    """
    parts = PARTS.get(format_of(data) or "")
    try:
        exif = next((part for part in parts(data)), None) if parts else None
        return 1 if exif is None else _orientation_in(exif)
    except (struct.error, IndexError):
        return 1  # broken EXIF data are no reason to lose an image that can be seen


def _orientation_in(exif: bytes) -> int:
    """Look through the first directory of EXIF data, which have the structure of a TIFF file."""
    order = BYTE_ORDERS.get(exif[:2])
    if order is None:
        return 1
    (start,) = struct.unpack_from(order + "I", exif, 4)
    (entries,) = struct.unpack_from(order + "H", exif, start)
    for at in range(start + 2, start + 2 + 12 * entries, 12):
        tag, _, _, value = struct.unpack_from(order + "HHIH", exif, at)
        if tag == ORIENTATION:
            return value if 1 <= value <= 8 else 1
    return 1


def jpeg_segments(data: Buffer) -> Iterator[tuple[int, int, int]]:
    """Walk over the segments of a JPEG file before its pixels: marker, start and end of what is in
    it. The last one is the start of the (first) scan.

    Raises
    ------
    IndexError
        The file ends before.
    """
    at = 2
    while data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker in LONE_MARKERS:
            at += 2
        else:
            end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
            yield marker, at + 4, end
            if marker == START_OF_SCAN:
                return
            at = end


def _in_jpeg(data: Buffer) -> Iterator[bytes]:
    for marker, start, end in jpeg_segments(data):
        if marker == APP1 and data[start : start + 6] == EXIF:
            yield bytes(data[start + 6 : end])


def _in_png(data: Buffer) -> Iterator[bytes]:
    for kind, start, end in _chunks(data):
        if kind == b"eXIf":
            yield bytes(data[start:end])


def _chunks(data: Buffer) -> Iterator[tuple[bytes, int, int]]:
    """Walk over the chunks of a PNG file: kind, start and end of what is in it."""
    at = 8
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        yield kind, at + 8, at + 8 + length
        at += 12 + length  # a checksum of 4 bytes ends each


def check_gif(data: Buffer) -> None:
    """Look at the size in the header, as `check_size` does."""
    if len(data) >= 10:  # whether the rest is there the decoder sees
        width, height = struct.unpack_from("<HH", data, 6)
        check_size(height, width)


def check_png(data: Buffer) -> None:
    """Look at the size, and whether all chunks are there: for a wrong length OpenCV takes memory,
    up to 4 GiB, before it notices.

    Raises
    ------
    Broken
        They are not.
    """
    for kind, start, end in _chunks(data):
        if kind == b"IHDR" and zlib.crc32(data[start - 4 : end]) != _checksum(data, end):
            raise Broken("its PNG header is damaged")
        if kind == b"IHDR":
            width, height = struct.unpack_from(">II", data, start)
            check_size(height, width)
        if kind == b"IEND":
            return
    raise Broken("the PNG data end too early, as if a copy was interrupted")


def _checksum(data: Buffer, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "big")


def _in_webp(data: Buffer) -> Iterator[bytes]:
    at = 12
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        if kind == b"EXIF":
            yield bytes(data[at + 8 : at + 8 + length]).removeprefix(EXIF)
        at += 8 + length + length % 2


CHECKS = {"PNG": check_png, "GIF": check_gif}
"""What is looked at before OpenCV gets files of these formats."""
PARTS = {"JPEG": _in_jpeg, "PNG": _in_png, "WebP": _in_webp}
"""Where the EXIF data are in a file of each format."""


def upright(image: npt.NDArray[np.uint8], orientation: int) -> npt.NDArray[np.uint8]:
    """Turn and mirror an image (height, width, channels) as its EXIF orientation says."""
    if orientation == 1:
        return image
    import cv2

    turned: Any = cv2.transpose(image) if orientation >= 5 else image
    flip = FLIPS.get(orientation)
    turned = turned if flip is None else cv2.flip(turned, flip)
    out: npt.NDArray[np.uint8] = turned.reshape(*turned.shape[:2], image.shape[2])
    return out  # with its last axis: of length 1, OpenCV drops it


FLIPS = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}
"""What `cv2.flip` is told: 0 turns it upside down, 1 swaps left and right, -1 does both."""
