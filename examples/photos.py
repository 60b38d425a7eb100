"""Make the demo's data set: labelled JPEG crops of real photographs, on disk.

The photographs are the ones that scikit-learn and scikit-image carry inside their installed
packages, so nothing is downloaded.  Each photograph is one class.  It is divided into 3 x 3 cells:
validation crops come from the three cells on the diagonal, training crops from the other six, and
every crop lies within one cell, so that no pixel is ever in both.  Crops vary in place and scale
and are stored as square JPEG files of 320 to 400 pixels (most are enlarged for it), so that
decoding one costs what an ordinary picture costs.

Run alone it writes the folder and says what is in it::

    python examples/photos.py build/demo-photos
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

CELLS = 3  # a side; those on the diagonal are for validation
SMALLEST_CROP = 0.6  # of the cell's shorter side; the largest is the whole of it
FILE_SIDE = (320, 400)  # pixels
JPEG_QUALITY = 90
TRAIN_CROPS = 200  # a class
VALIDATION_CROPS = 40
SPLITS = ("train", "validation")

PHOTOS = {
    "astronaut": ("skimage", "data/astronaut.png"),
    "brick": ("skimage", "data/brick.png"),
    "cameraman": ("skimage", "data/camera.png"),
    "cat": ("skimage", "data/chelsea.png"),
    "coffee": ("skimage", "data/coffee.png"),
    "flower": ("sklearn", "datasets/images/flower.jpg"),
    "galaxies": ("skimage", "data/hubble_deep_field.jpg"),
    "grass": ("skimage", "data/grass.png"),
    "motorcycle": ("skimage", "data/motorcycle_left.png"),
    "retina": ("skimage", "data/retina.jpg"),
    "rocket": ("skimage", "data/rocket.jpg"),
    "temple": ("sklearn", "datasets/images/china.jpg"),
}


class Box(NamedTuple):
    """A square of a photograph, in pixels."""

    top: int
    left: int
    side: int


def read_photo(label: str) -> np.ndarray:
    """Read one photograph from the package that carries it.

    Parameters
    ----------
    label : str
        A key of `PHOTOS`.

    Returns
    -------
    numpy.ndarray
        uint8, (height, width, 3), in OpenCV's blue-green-red order.

    Raises
    ------
    FileNotFoundError
        The package is not installed or does not carry the photograph.
    """
    package, inside = PHOTOS[label]
    # The folder is looked up without importing the package: neither costs a second nor downloads.
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(
            f"the photograph {label!r} lies in the package {package!r}, which is not installed: "
            "pip install scikit-learn scikit-image"
        )
    path = Path(spec.origin).parent / inside
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise FileNotFoundError(
            f"the photograph {label!r} is missing or unreadable at {inside} in the installed "
            f"package {package!r}; this demo was written for scikit-learn 1.9, scikit-image 0.26"
        )
    return image


def crop_boxes(
    height: int, width: int, split: str, count: int, rng: np.random.Generator
) -> list[Box]:
    """Draw `count` squares of one photograph, each inside a cell that belongs to one split.

    Parameters
    ----------
    height, width : int
        The photograph's size in pixels.
    split : {"train", "validation"}
        Which cells to draw from.
    count : int
        How many squares.
    rng : numpy.random.Generator
        Where the randomness comes from.

    Returns
    -------
    list of Box
    """
    rows, columns = height // CELLS, width // CELLS  # pixels a cell
    wanted = [
        (row, column)
        for row in range(CELLS)
        for column in range(CELLS)
        if (row == column) == (split == "validation")
    ]
    largest = min(rows, columns)
    boxes = []
    for _ in range(count):
        row, column = wanted[rng.integers(len(wanted))]
        side = int(rng.integers(int(SMALLEST_CROP * largest), largest + 1))
        top = row * rows + int(rng.integers(rows - side + 1))
        left = column * columns + int(rng.integers(columns - side + 1))
        boxes.append(Box(top, left, side))
    return boxes


def write_crops(image: np.ndarray, boxes: list[Box], folder: Path, seed: list[int]) -> None:
    """Cut `boxes` out of `image` and store them as 000.jpg, 001.jpg, ... in `folder`."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for number, (top, left, side) in enumerate(boxes):
        crop = image[top : top + side, left : left + side]
        size = int(rng.integers(FILE_SIDE[0], FILE_SIDE[1] + 1))
        enlarged = cv2.resize(crop, (size, size), interpolation=cv2.INTER_CUBIC)
        path = folder / f"{number:03d}.jpg"
        if not cv2.imwrite(str(path), enlarged, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]):
            raise OSError(f"OpenCV could not write {path}: is the disk full?")


def make_photos(
    folder: Path | str, train: int = TRAIN_CROPS, validation: int = VALIDATION_CROPS
) -> Path:
    """Write the data set once; a folder that already holds it is left as it is.

    Parameters
    ----------
    folder : path
        Gets ``train/<label>/<number>.jpg`` and ``validation/<label>/<number>.jpg``.
    train, validation : int
        Crops of each photograph.

    Returns
    -------
    pathlib.Path
        `folder`.

    Raises
    ------
    FileExistsError
        `folder` holds something else; it is not touched.
    """
    folder = Path(folder)
    counts = {"train": train, "validation": validation}
    wanted = {"labels": sorted(PHOTOS), "crops": counts, "pixels": list(FILE_SIDE)}
    if folder.exists():
        record = folder / "made.json"
        if record.exists() and json.loads(record.read_text()) == wanted:
            return folder
        raise FileExistsError(
            f"{folder} exists but is not this data set ({train} + {validation} crops of "
            f"{len(PHOTOS)} photographs): remove it or name another folder"
        )
    # Made beside its final place and moved there whole: an interrupted run leaves no half set.
    partial = folder.with_name(f"{folder.name}.{os.getpid()}.partial")
    try:
        for class_number, label in enumerate(sorted(PHOTOS)):
            image = read_photo(label)
            for split_number, split in enumerate(SPLITS):
                seed = [class_number, split_number]
                rng = np.random.default_rng(seed)
                boxes = crop_boxes(*image.shape[:2], split, counts[split], rng)
                write_crops(image, boxes, partial / split / label, seed)
        (partial / "made.json").write_text(json.dumps(wanted))
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def list_photos(folder: Path | str, split: str) -> tuple[list[str], np.ndarray]:
    """List one split's files and their classes.

    Parameters
    ----------
    folder : path
        As given to `make_photos`.
    split : {"train", "validation"}
        Which part.

    Returns
    -------
    files : list of str
        Sorted by class, then by number.
    labels : numpy.ndarray
        int64, one a file: the place of the photograph's name in ``sorted(PHOTOS)``.
    """
    place = {label: number for number, label in enumerate(sorted(PHOTOS))}
    files = sorted((Path(folder) / split).glob("*/*.jpg"))
    labels = np.array([place[file.parent.name] for file in files], dtype=np.int64)
    return [str(file) for file in files], labels


if __name__ == "__main__":
    made = make_photos(sys.argv[1] if len(sys.argv) > 1 else "build/demo-photos")
    for name in SPLITS:
        paths, _ = list_photos(made, name)
        size = sum(Path(path).stat().st_size for path in paths)
        print(f"{made}/{name}: {len(paths)} files, {len(PHOTOS)} classes, {size / 1e6:.0f} MB")
