"""JPEG files of about 500 x 375 pixels, cut from photographs that are already installed.

scikit-learn and scikit-image carry the photographs inside their packages: nothing is downloaded.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

FILES = 96
SIZE = (500, 375)  # width, height in pixels, the usual size of a photograph in ImageNet
QUALITY = 90


def photographs() -> list[np.ndarray]:
    """Return the colour photographs, uint8 RGB arrays of (height, width, 3)."""
    from skimage import data
    from sklearn.datasets import load_sample_images

    names = ("astronaut", "chelsea", "coffee", "rocket", "hubble_deep_field", "retina")
    return [getattr(data, name)() for name in names] + list(load_sample_images().images)


def write(folder: Path, files: int = FILES) -> Path:
    """Fill `folder` with the same files on every machine and return it."""
    rng = np.random.default_rng(0)
    pictures = photographs()
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(files):
        crop = _cut(pictures[number % len(pictures)], rng)
        resized = cv2.resize(crop, SIZE, interpolation=cv2.INTER_AREA)
        image = cv2.cvtColor(resized, cv2.COLOR_RGB2BGR)
        path = folder / f"{number:04d}.jpg"
        if not cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY]):
            raise OSError(f"OpenCV could not write {path}: is the disk full?")
    return folder


def _cut(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    height, width = picture.shape[:2]
    scale = min(height / SIZE[1], width / SIZE[0]) * rng.uniform(0.8, 1.0)
    rows, columns = int(SIZE[1] * scale), int(SIZE[0] * scale)
    top = int(rng.integers(0, height - rows + 1))
    left = int(rng.integers(0, width - columns + 1))
    return picture[top : top + rows, left : left + columns]
