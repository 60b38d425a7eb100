"""Reads pictures and their labels into batches."""

from __future__ import annotations

import hashlib
import operator
import os
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from fastfeed._core import Order
from fastfeed.caching.base import stamp_of
from fastfeed.errors import ImageError
from fastfeed.imaging.augment import Augmentation
from fastfeed.imaging.found import Array, Found, Several
from fastfeed.imaging.names import hash_of
from fastfeed.imaging.reading import Image, Part, Reading
from fastfeed.imaging.standardize import Standardize
from fastfeed.imaging.targets import Values, targets_of
from fastfeed.order import generator
from fastfeed.sources.rows import ItemReader, Rows
from fastfeed.structure import ArraySpec, Tree, map_leaves

LOOKED_AT = 1000
"""At the most, so many files' sizes are in a fingerprint."""


def size_of_file(path: str) -> int:
    """Return a file's number of bytes, -1 if there is no such file."""
    try:
        return os.stat(path).st_size
    except OSError:
        return -1


class Look(Rows):
    """Rows that are read in the calling thread, whose own random numbers stay as they are."""

    def __init__(self, index: npt.NDArray[np.int64], out: Tree, seed: int) -> None:
        super().__init__(index, out, item=None)  # type: ignore[arg-type]
        self._seed = seed

    def rng(self, row: int) -> np.random.Generator:
        """Return the numbers of the first epoch's sample."""
        return generator(self._seed, 0, int(self.index[row]))


class Images(ItemReader):
    """What `fastfeed.images` returns: a source, with the attributes of Keras's iterators.

    ``len()`` is the number of batches, ``images[i]`` batch i of the first epoch (made here and now,
    for a look), and iterating gives these one after the other. To train, pass it to `Loader` or to
    `fit_generator`.

    Attributes
    ----------
    n, samples : int
        How many pictures.
    batch_size : int
    class_indices : dict of str to int
        The number of each class.
    classes : array of int32
        The class of each picture; a list of lists where one has several.
    labels : array, or list of arrays
        `classes`, or the columns of class modes "raw" and "multi_output".
    num_classes : int
    filenames, filepaths : list of str
        Made anew each time: a million of them take 100 MB.
    image_shape : tuple of int
        Of one picture in the batch.
    """

    batch_size: int
    shuffle: bool
    seed: int | None

    def __init__(
        self,
        found: Found,
        reading: Reading,
        augmentation: Augmentation,
        standardize: Standardize,
        *,
        class_mode: str | None,
        data_format: str,
        dtype: np.dtype[Any],
        batch_size: int,
        shuffle: bool,
        seed: int | None,
        on_error: str,
        arguments: str,
    ) -> None:
        self.batch_size, self.shuffle, self.seed = batch_size, shuffle, seed
        self.class_mode, self.dtype, self.data_format = class_mode, dtype, data_format
        self.leaves_out = on_error == "skip"
        self._on_error = on_error
        self._arguments = arguments
        self._found, self._reading = found, reading
        self._augmentation, self._standardize = augmentation, standardize
        self._fits_the_batch = dtype == np.uint8 and data_format == "channels_last"
        height, width, channels = reading.shape
        last = data_format == "channels_last"
        self.image_shape = (height, width, channels) if last else (channels, height, width)
        # Bytes and short floats count to 256 or so; there may be more classes.
        label_dtype = dtype if dtype.itemsize >= 4 else np.dtype(np.float32)
        self._targets = targets_of(found, class_mode, label_dtype)
        self._weights = None if found.weights is None else Values(found.weights)
        self.spec = self._spec()

    def _spec(self) -> Tree:
        pictures = ArraySpec(self.image_shape, self.dtype)
        if self.class_mode is None:
            return pictures
        labels: Any = [target.spec for target in self._targets]
        if self.class_mode == "input":
            labels = pictures
        elif self.class_mode != "multi_output":
            (labels,) = labels
        return (pictures, labels, *([] if self._weights is None else [self._weights.spec]))

    # -- reading --------------------------------------------------------------------------

    @property
    def n_samples(self) -> int:
        """How many pictures there are."""
        return len(self._found.names)

    def open(self) -> None:
        """Import what decodes, so that a worker's first picture takes no longer than others."""
        for module in self._reading.libraries:
            import_module(module)

    def load(self, row: int) -> Tree:
        """Return picture number `row`, decoded; resized too if chance has no part in that."""
        return self._reading.load(self._found.path(row))

    def stamp(self, sample: int) -> int:
        """Tell this version of a picture's file from others, for a cache on disk."""
        return stamp_of(self._found.path(sample))

    def put(self, sample: Tree, row: int, out: Tree, rng: np.random.Generator) -> None:
        """Write a picture to its row of the batch, augmented."""
        if self._reading.crop is not None:
            sample = self._reading.draw_part(sample, rng)
        self._place(sample, row, out, rng)

    def _place(self, picture: Image | Part, row: int, out: Tree, rng: np.random.Generator) -> None:
        place = self._pictures(out)[row]
        if isinstance(picture, Part):
            image = place if self._fits_the_batch else np.empty(self._reading.shape, np.uint8)
            self._reading.cut(picture, image)
        else:
            image = picture
        change = self._augmentation.draw(rng, *image.shape[:2])
        image = self._augmentation.apply(image, change)
        if image is not place:
            self._standardize.put(image, place)

    def read(self, rows: Rows) -> None:
        """Read pictures; their labels at once."""
        samples = rows.index
        kept: list[int] = []
        for row, sample in enumerate(samples.tolist()):
            rng = rows.rng(row)
            picture = self._fetched(sample, rng, rows)
            if picture is not None:
                self._place(picture, len(kept), rows.out, rng)
            elif self.leaves_out:
                continue
            else:
                self._pictures(rows.out)[row] = 0
            kept.append(row)
        if self.leaves_out:
            if not kept:
                raise self._nothing_left(samples)
            rows.written = len(kept)
            samples = samples[kept]
        self._put_labels(samples, rows.out)

    def _fetched(self, sample: int, rng: np.random.Generator, rows: Rows) -> Image | Part | None:
        """Return a picture, or the part that is needed of it; None if it cannot be read and that is
        no error.
        """
        try:
            if self._reading.crop is not None and self.cache is None:
                return self._reading.load_part(self._found.path(sample), rng)
            image: Image = self.fetch(sample)
            return image if self._reading.crop is None else self._reading.draw_part(image, rng)
        except ImageError:
            if self._on_error == "raise":
                raise
            rows.failed += 1
            return None

    def _nothing_left(self, samples: npt.NDArray[np.int64]) -> ImageError:
        """Return the error for a batch without a picture: a loss of nothing is not a number, and
        spoils the model.
        """
        return ImageError(
            f"None of the {len(samples)} picture(s) of a batch can be read; the first is "
            f'{self._found.path(samples[0])!r}. on_error="skip" would leave an empty batch, whose '
            "loss is not a number. Replace or remove the files; or use larger batches (and "
            'drop_last=True), or on_error="zeros".'
        )

    def _pictures(self, out: Tree) -> Array:
        """Return the pictures of a batch."""
        pictures: Array = out if self.class_mode is None else out[0]
        return pictures

    def _put_labels(self, samples: npt.NDArray[np.int64], out: Tree) -> None:
        """Write all that is no picture to the first rows of the batch."""
        if self.class_mode is None:
            return
        n = len(samples)
        if self.class_mode == "input":
            out[1][:n] = out[0][:n]
        places = out[1] if self.class_mode == "multi_output" else [out[1]]
        for target, place in zip(self._targets, places, strict=False):
            target.put(samples, place[:n])
        if self._weights is not None:
            self._weights.put(samples, out[2][:n])

    def fingerprint(self) -> str:
        """Return a hash of names, labels, arguments, and the sizes of a thousand of the files.

        Neither where the folder lies nor when its files were written counts: a copy is the same.
        """
        total = self._hash_of_files(self._arguments)
        total.update(repr(self._found.class_indices).encode())
        for array in self._found.arrays():
            total.update(hash_of(array))
        return total.hexdigest()

    def kept_fingerprint(self) -> str:
        """Return the same of the decoded pictures alone, without labels and what is random."""
        return self._hash_of_files(self._reading.identity).hexdigest()

    def _hash_of_files(self, arguments: str) -> hashlib.blake2b:
        total = hashlib.blake2b(arguments.encode(), digest_size=16)
        total.update(self._found.names.digest())
        rows = range(0, self.n_samples, -(-self.n_samples // LOOKED_AT))
        sizes = [size_of_file(self._found.path(row)) for row in rows]
        total.update(hash_of(np.array(sizes, dtype=np.int64)))
        return total

    # -- what Keras's iterators tell of themselves -------------------------------------------

    @property
    def n(self) -> int:
        """How many pictures there are; `samples` and `n_samples` too."""
        return self.n_samples

    @property
    def samples(self) -> int:
        """How many pictures there are."""
        return self.n_samples

    @property
    def class_indices(self) -> dict[str, int]:
        """The number of each class.

        Raises
        ------
        AttributeError
            If the class mode knows no classes.
        """
        indices: dict[str, int] = self._known(self._found.class_indices)
        return indices

    @property
    def num_classes(self) -> int:
        """How many classes there are, also those without a picture."""
        return len(self.class_indices)

    @property
    def classes(self) -> Any:
        """The class of each picture: an array of int32, or a list of lists of class numbers."""
        numbers = self._known(self._found.numbers)
        if not isinstance(numbers, Several):
            return numbers
        each = np.split(numbers.numbers, numbers.starts[1:-1])
        return [array.tolist() for array in each]

    @property
    def labels(self) -> Any:
        """What `classes` is, or the columns of class modes "raw" and "multi_output"."""
        values = self._found.values
        if values is None:
            return self.classes
        return values if self.class_mode == "multi_output" else values[0]

    def _known(self, value: Any) -> Any:
        if value is None:
            raise AttributeError(f"there are no classes with class_mode={self.class_mode!r}")
        return value

    @property
    def filenames(self) -> list[str]:
        """The pictures' names in their folder; a new list each time."""
        return list(self._found.names)

    @property
    def filepaths(self) -> list[str]:
        """Where the pictures lie; a new list each time."""
        return [self._found.path(row) for row in range(self.n_samples)]

    # -- looking at it ---------------------------------------------------------------------

    def __len__(self) -> int:
        return -(-self.n_samples // self.batch_size)

    def __getitem__(self, batch: int) -> Tree:
        """Make one batch of the first epoch, as a `Loader` on one rank gives it."""
        first = range(0, self.n_samples, self.batch_size)[operator.index(batch)]
        seed = self.seed or 0
        order = Order(self.n_samples, self.shuffle, seed, 0)
        index = order.rows(first, min(self.batch_size, self.n_samples - first))
        out = map_leaves(lambda spec: np.empty((len(index), *spec.shape), spec.dtype), self.spec)
        rows = Look(index, out, seed)
        self.read(rows)
        return map_leaves(lambda array: array[: rows.written], out)

    def __iter__(self) -> Iterator[Tree]:
        """Yield the batches of the first epoch."""
        return (self[batch] for batch in range(len(self)))

    def __repr__(self) -> str:
        classes = f" of {self.num_classes} classes" if self._found.class_indices else ""
        size = " x ".join(map(str, self.image_shape))
        return f"<{self.n_samples} images{classes}, {size} {self.dtype}, by {self.batch_size}>"
