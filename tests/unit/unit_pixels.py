"""Small images with soft colours and edges, and files made of them."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

Pixels = npt.NDArray[np.uint8]


def photograph(height: int = 90, width: int = 121, seed: int = 0) -> Pixels:
    """An RGB image of soft colours with an edge and some grain; no two corners alike."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (7, 9, 3), dtype=np.uint8)
    image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    image[: height // 3, : width // 4] = 255 - image[: height // 3, : width // 4]
    grain = rng.integers(-6, 7, image.shape)
    return np.clip(image + grain, 0, 255).astype(np.uint8)


def with_alpha(image: Pixels) -> Pixels:
    """The same image with an alpha channel that changes from left to right."""
    alpha = np.linspace(0, 255, image.shape[1]).astype(np.uint8)
    return np.dstack([image, np.broadcast_to(alpha, image.shape[:2])])


def file_of(image: Pillow.Image | Pixels, kind: str, **options: Any) -> bytes:
    """The bytes of an image file, written by Pillow."""
    picture = image if isinstance(image, Pillow.Image) else Pillow.fromarray(image)
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def by_pillow(data: bytes, color_mode: str = "rgb") -> Pixels:
    """What Keras's load_img has before it resizes: Pillow's array, with a last axis."""
    mode = {"rgb": "RGB", "rgba": "RGBA", "grayscale": "L"}[color_mode]
    array = np.asarray(Pillow.open(io.BytesIO(data)).convert(mode))
    return array if array.ndim == 3 else array[..., None]


def tagged(orientation: int) -> Pillow.Exif:
    """EXIF data that say how the camera was held."""
    exif = Pillow.Exif()
    exif[0x010F] = "a maker"  # one before it: the tag is not always the first
    exif[0x0112] = orientation
    return exif
