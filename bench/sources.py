"""The work: the sources that every contestant is asked to load from.

Each work comes in two forms with the same bytes: one with ``__getitem__`` alone (what every rival
can use) and one with ``fill(index, out, rng)`` as well, which writes into memory that is given.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    import fastfeed

KINDS_OF_BATCH = 8  # 38 MB even at 4.8 MB a batch, so that they do not all stay in the cache
PHOTO_BATCH = 8
PHOTO_SIDE = 224
BACKENDS = ("tensorflow", "torch", "jax")  # of Keras


class Source(Protocol):
    """A sequence of batches that knows what they must look like."""

    shape: tuple[int, ...]
    dtype: np.dtype

    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> np.ndarray: ...
    def check(self, index: int, batch: np.ndarray) -> None: ...


class Prepared:
    """Hands out batches made beforehand: what is left to measure is moving them.

    Parameters
    ----------
    shape : tuple of int
        Of a batch.
    dtype : numpy dtype
    length : int
        Batches an epoch.
    pause : float
        Seconds asleep before each batch, as if a disk or a network were waited for.
    """

    def __init__(self, shape: tuple[int, ...], dtype: str, length: int, pause: float = 0.0):
        self.shape, self.dtype, self.length, self.pause = shape, np.dtype(dtype), length, pause
        rng = np.random.default_rng(0)
        first = (rng.random(shape, np.float32) * 255).astype(self.dtype)
        # A shift of one byte value makes the batches differ everywhere at little cost.
        self.batches = [first + self.dtype.type(k) for k in range(KINDS_OF_BATCH)]

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> np.ndarray:
        if not 0 <= index < self.length:
            raise IndexError(f"batch {index} of {self.length}")
        if self.pause:
            time.sleep(self.pause)
        return self.batches[index % KINDS_OF_BATCH]

    def check(self, index: int, batch: np.ndarray) -> None:
        """Raise AssertionError unless `batch` is exactly batch `index`."""
        expected = self.batches[index % KINDS_OF_BATCH]
        if batch.dtype != expected.dtype or not np.array_equal(batch, expected):
            raise AssertionError(f"batch {index} is {batch.dtype}{batch.shape} with other contents")


class PreparedFill(Prepared):
    """The same batches, copied to where the caller says, by ``numpy.copyto``."""

    @property
    def spec(self) -> fastfeed.ArraySpec:
        """The layout, in the form that fastfeed asks for."""
        from fastfeed import ArraySpec  # here, so that the rivals run without fastfeed

        return ArraySpec(self.shape, self.dtype)

    def fill(self, index: int, out: np.ndarray, rng: np.random.Generator) -> None:
        """Write batch `index` into `out`."""
        if self.pause:
            time.sleep(self.pause)
        np.copyto(out, self.batches[index % KINDS_OF_BATCH])


class PreparedStream(PreparedFill):
    """The same, copied by ``fastfeed.copyto``."""

    def fill(self, index: int, out: np.ndarray, rng: np.random.Generator) -> None:
        """Write batch `index` into `out`."""
        from fastfeed import copyto  # here, so that the rivals run without fastfeed

        copyto(out, self.batches[index % KINDS_OF_BATCH])


class Numbers:
    """Hands out the index itself: nothing to make and nothing to move.

    Parameters
    ----------
    length : int
        Numbers an epoch.
    """

    def __init__(self, length: int):
        self.shape, self.dtype, self.length = (), np.dtype("int64"), length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> int:
        return index

    def check(self, index: int, batch: np.ndarray) -> None:
        """Raise AssertionError unless `batch` is `index`."""
        if batch != index:
            raise AssertionError(f"number {batch} came where {index} was due")


class Photos:
    """Decodes JPEG files with OpenCV: random resized crop to 224 and random flip, 8 a batch.

    Parameters
    ----------
    folder : path
        JPEG files of about 500 x 375 pixels (see `bench.photos`).
    length : int
        Batches an epoch.
    """

    def __init__(self, folder: Path | str, length: int):
        self.shape, self.dtype = (PHOTO_BATCH, PHOTO_SIDE, PHOTO_SIDE, 3), np.dtype("uint8")
        self.paths = sorted(str(path) for path in Path(folder).glob("*.jpg"))
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> np.ndarray:
        if not 0 <= index < self.length:
            raise IndexError(f"batch {index} of {self.length}")
        out = np.empty(self.shape, self.dtype)
        self._decode(index, out, np.random.default_rng(index))
        return out

    def _decode(self, index: int, out: np.ndarray, rng: np.random.Generator) -> None:
        for row, target in enumerate(out):
            number = (index * PHOTO_BATCH + row) % len(self.paths)
            _crop_into(target, self.paths[number], rng)

    def check(self, index: int, batch: np.ndarray) -> None:
        """Raise AssertionError unless `batch` has the layout of a batch and shows something."""
        if batch.shape != self.shape or batch.dtype != self.dtype:
            raise AssertionError(f"batch {index} is {batch.dtype}{batch.shape}")
        if any(int(image.max()) - int(image.min()) < 8 for image in batch):
            raise AssertionError(f"batch {index} holds an empty picture")


class PhotosFill(Photos):
    """The same photographs, resized straight to where the caller says."""

    @property
    def spec(self) -> fastfeed.ArraySpec:
        """The layout, in the form that fastfeed asks for."""
        from fastfeed import ArraySpec  # here, so that the rivals run without fastfeed

        return ArraySpec(self.shape, self.dtype)

    def fill(self, index: int, out: np.ndarray, rng: np.random.Generator) -> None:
        """Decode batch `index` into `out`."""
        self._decode(index, out, rng)


def crop_box(height: int, width: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Draw top, left, height, width of a crop of 25 to 100 % of the area, 3:4 to 4:3."""
    area = height * width * rng.uniform(0.25, 1.0)
    aspect = rng.uniform(3 / 4, 4 / 3)
    rows = min(height, max(1, round((area / aspect) ** 0.5)))
    columns = min(width, max(1, round((area * aspect) ** 0.5)))
    top = int(rng.integers(0, height - rows + 1))
    left = int(rng.integers(0, width - columns + 1))
    return top, left, rows, columns


def _crop_into(target: np.ndarray, path: str, rng: np.random.Generator) -> None:
    import cv2  # here: only this work needs it

    image = cv2.imread(path, cv2.IMREAD_COLOR_RGB)
    top, left, rows, columns = crop_box(*image.shape[:2], rng)
    crop = image[top : top + rows, left : left + columns]
    cv2.resize(crop, (PHOTO_SIDE, PHOTO_SIDE), dst=target)
    if rng.random() < 0.5:
        cv2.flip(target, 1, dst=target)


@dataclass(frozen=True)
class Work:
    """One kind of work: what to build, and how long a consumer takes for a batch."""

    title: str
    shape: tuple[int, ...] = ()  # empty: not prepared arrays
    dtype: str = "uint8"
    pause: float = 0.0  # seconds asleep while a batch is made
    step: float = 0.0  # seconds that the consumer takes for a batch
    batches: int = 0  # timed in a round; 0: as many as fit into the time of a round


WORKS = {
    "rows": Work("32x16 float32, 2 kB a batch", (32, 16), "float32"),
    "uint8": Work("32x224x224x3 uint8, 4.8 MB a batch", (32, 224, 224, 3), "uint8"),
    "float32": Work("32x224x224x3 float32, 19.3 MB a batch", (32, 224, 224, 3), "float32"),
    "nothing": Work("metadata alone, nothing in the slots"),
    "photos": Work("JPEG decode, crop, resize, flip; 8 images a batch"),
    "asleep": Work("load asleep 16 ms, step 10 ms", (32, 16), "float32", 0.016, 0.010),
    **{f"fit small, {backend}": Work(
        f"Keras on {backend}: 16-Dense8-Dense1, batches of 32", (32, 16), "float32", batches=300
    ) for backend in BACKENDS},
    **{f"fit uint8, {backend}": Work(
        f"Keras on {backend}: batches of 4.8 MB, hardly a model", (32, 224, 224, 3), batches=120
    ) for backend in BACKENDS},
}  # fmt: skip


FORMS = {"item": Prepared, "fill": PreparedFill, "stream": PreparedStream}
"""What a source of prepared batches offers: ``__getitem__`` alone, or ``fill`` too."""


def make(work: str, length: int, form: str, folder: str = "") -> Source:
    """Build the source of one work.

    Parameters
    ----------
    work : str
        A key of `WORKS`.
    length : int
        Batches an epoch.
    form : {"item", "fill", "stream"}
        See `FORMS`.
    folder : str
        Where the JPEG files are.
    """
    if work == "nothing":
        return Numbers(length)
    if work == "photos":
        return (Photos if form == "item" else PhotosFill)(folder, length)
    about = WORKS[work]
    return FORMS[form](about.shape, about.dtype, length, about.pause)
