"""JPEG files in memory, decoded and augmented with OpenCV, or with Pillow where that is missing."""

from __future__ import annotations

import functools
import importlib.util
import io
from typing import Any

import numpy as np

from fastfeed.errors import FastFeedError
from fastfeed.structure import ArraySpec

SIDE = 224
HEIGHT, WIDTH = 375, 500
"""Pixels, the usual size of a photograph in ImageNet."""
FILES = 16
COARSE = 12
QUALITY = 90
NEEDS = ("cv2", "PIL")


class DecoderMissing(FastFeedError, ImportError):
    """Neither OpenCV nor Pillow is installed."""


def decoder() -> str:
    """Return the module that decodes here.

    Raises
    ------
    DecoderMissing
        There is none.
    """
    for name in NEEDS:
        if importlib.util.find_spec(name):
            return name
    raise DecoderMissing(
        "Decoding JPEG needs OpenCV or Pillow: pip install 'fastfeed[images]', or leave out the "
        "work jpeg."
    )


class Photos:
    """Pictures decoded, randomly cropped, resized to 224 and flipped.

    What is drawn depends on the batch's number alone, so that every loader has the same bytes.

    Parameters
    ----------
    batch_size : int
    length : int
        Batches an epoch.
    """

    def __init__(self, batch_size: int, length: int):
        self._length = length
        self.spec = ArraySpec((batch_size, SIDE, SIDE, 3), "uint8")
        self._decoder = decoder()
        self._files = _files(self._decoder)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> np.ndarray:
        out = np.empty(self.spec.shape, self.spec.dtype)
        self.fill(index, out, None)
        return out

    def fill(self, index: int, out: np.ndarray, rng: Any) -> None:
        """Write batch `index` into `out`."""
        if not 0 <= index < self._length:
            raise IndexError(f"batch {index} of {self._length}")
        own = np.random.default_rng(index)
        augment = _with_opencv if self._decoder == "cv2" else _with_pillow
        for row, target in enumerate(out):
            file = self._files[(index * len(out) + row) % FILES]
            augment(file, target, _crop(own), bool(own.random() < 0.5))


def _crop(rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Draw top, left, height, width of 25 to 100 % of the area, 3:4 to 4:3."""
    area, aspect = HEIGHT * WIDTH * rng.uniform(0.25, 1.0), rng.uniform(3 / 4, 4 / 3)
    rows = min(HEIGHT, round((area / aspect) ** 0.5))
    columns = min(WIDTH, round((area * aspect) ** 0.5))
    top, left = rng.integers(0, HEIGHT - rows + 1), rng.integers(0, WIDTH - columns + 1)
    return int(top), int(left), rows, columns


def _with_opencv(
    file: bytes, target: np.ndarray, crop: tuple[int, int, int, int], flip: bool
) -> None:
    import cv2

    top, left, rows, columns = crop
    image: Any = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR_RGB)
    cv2.resize(image[top : top + rows, left : left + columns], (SIDE, SIDE), dst=target)
    if flip:
        cv2.flip(target, 1, dst=target)


def _with_pillow(
    file: bytes, target: np.ndarray, crop: tuple[int, int, int, int], flip: bool
) -> None:
    from PIL import Image

    top, left, rows, columns = crop
    image: Any = Image.open(io.BytesIO(file))
    box = (left, top, left + columns, top + rows)
    image = image.resize((SIDE, SIDE), Image.Resampling.BILINEAR, box)
    if flip:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    target[...] = image


@functools.cache
def _files(name: str) -> list[bytes]:
    return [_encoded(_picture(number), name) for number in range(FILES)]


def _picture(number: int) -> np.ndarray:
    """Return soft colours with fine grain: to a decoder, a photograph of 60 kB."""
    rng = np.random.default_rng(number)
    coarse = rng.uniform(0, 255, (COARSE, COARSE, 3))
    soft: np.ndarray = np.einsum(
        "yi,xj,ijc->yxc", _between(HEIGHT), _between(WIDTH), coarse, optimize=True
    )
    return np.clip(soft + rng.normal(0, 8, soft.shape), 0, 255).astype(np.uint8)


def _between(pixels: int) -> np.ndarray:
    """Return the weights (pixels, COARSE) of linear interpolation."""
    places = np.linspace(0, COARSE - 1, pixels)
    weights: np.ndarray = np.clip(1 - np.abs(places[:, None] - np.arange(COARSE)), 0, 1)
    return weights


def _encoded(picture: np.ndarray, name: str) -> bytes:
    if name == "cv2":
        import cv2

        return bytes(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1])
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()
