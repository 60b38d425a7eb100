"""One generator decides what comes next, and all workers do the heavy part of it.

    python examples/generators.py

Half of the classes are made rare here: of those, a fifth of the photographs is kept.  `Balanced`
yields file names, each class in turn, and the rare photographs several times.  That must be decided
in one place, so it is no work for many processes; to decode the photographs is.
"""

import itertools
import random
import time

import cv2
import numpy as np
from photos import list_photos, make_photos

import fastfeed

BATCH, SIZE = 32, 96


class Balanced:
    """Yields (file, label) in a new order each epoch, as often of one class as of another."""

    def __init__(self, of_class):
        self.of_class = of_class
        self.rng = random.Random(1)

    def __call__(self):
        for files in self.of_class:
            self.rng.shuffle(files)
        longest = max(map(len, self.of_class))
        endless = [itertools.cycle(files) for files in self.of_class]
        for _ in range(longest):
            for label, files in enumerate(endless):
                yield next(files), label


def decode(item, rng):
    """Make a sample: a photograph, flipped at random, and its label."""
    file, label = item
    photo = cv2.resize(cv2.imread(file), (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    return (photo[:, ::-1] if rng.random() < 0.5 else photo), label


def with_rare_classes(files, labels):
    """Return the files of each class, only a fifth of them where its number is odd."""
    of_class = [[] for _ in set(labels)]
    for file, label in zip(files, labels, strict=True):
        of_class[label].append(file)
    return [files[:: 5 if label % 2 else 1] for label, files in enumerate(of_class)]


if __name__ == "__main__":
    of_class = with_rare_classes(*list_photos(make_photos("build/demo-photos"), "train"))
    source = fastfeed.generator(Balanced(of_class), map=decode)
    rare = sum(map(len, of_class[1::2])) / sum(map(len, of_class))
    with fastfeed.Loader(source, batch_size=BATCH, workers=2, drop_last=True) as loader:
        for epoch in range(3):
            begin = time.perf_counter()
            shares = [np.mean(labels % 2) for images, labels in loader]
            seconds = time.perf_counter() - begin
            print(
                f"epoch {epoch + 1}: {len(shares)} batches, {len(shares) / seconds:.0f} "
                f"batches/s, rare classes {rare:.0%} on disk, {np.mean(shares):.0%} in batches"
            )
