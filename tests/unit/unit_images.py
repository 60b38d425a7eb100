"""A few picture files, and Keras's generators to compare with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (40, 30)  # height and width
CLASSES = {"cats": 6, "dogs": 5, "owls": 4}


def picture(number: int, height: int = SIZE[0], width: int = SIZE[1]) -> Image.Image:
    """A picture that is smooth enough for JPEG, and like no other."""
    coarse = np.random.default_rng(number).integers(0, 256, (5, 4, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def make_folder(top: Path, classes: dict[str, int] = CLASSES, ending: str = "png") -> Path:
    """A folder with a subfolder of pictures for each class."""
    number = 0
    for name, count in classes.items():
        (top / name).mkdir(parents=True)
        for _ in range(count):
            # not in the order of their names
            picture(number).save(top / name / f"{number * 7 % 15:02d}.{ending}")
            number += 1
    return top


def keras_generator(**arguments):
    """Keras's own, which costs seconds to import; and channels_last, whatever keras.json says."""
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    return ImageDataGenerator(**{"data_format": "channels_last"} | arguments)


def assert_same(ours, theirs):
    """The same tree of arrays, to the last bit, and of the same dtypes."""
    assert isinstance(ours, (tuple, list)) == isinstance(theirs, (tuple, list))
    if isinstance(theirs, (tuple, list)):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert_same(one, other)
    else:
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


def assert_same_batches(ours, theirs):
    """All batches of both are the same."""
    assert len(ours) == len(theirs) > 1
    for batch in range(len(theirs)):
        assert_same(ours[batch], theirs[batch])
