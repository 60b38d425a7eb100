"""A source that writes its batches straight into shared memory: `fill` in place of `__getitem__`.

    python examples/fill.py

`spec` says how a batch is laid out; `fill` gets arrays of that layout that *are* the memory the
training loop will read, and a random generator seeded from (seed, epoch, index).  No copy is made.
"""

import time

import cv2
import numpy as np
from photos import list_photos, make_photos

import fastfeed

BATCH, SIZE = 32, 96


class Photos:
    """Batches of photographs, flipped at random."""

    spec = (
        fastfeed.ArraySpec((BATCH, SIZE, SIZE, 3), np.uint8),
        fastfeed.ArraySpec((BATCH,), np.int64),
    )

    def __init__(self, files, labels):
        self.files, self.labels = files, labels

    def __len__(self):
        return len(self.files) // BATCH

    def fill(self, index, out, rng):
        images, labels = out
        chosen = rng.integers(len(self.files), size=BATCH)
        labels[:] = self.labels[chosen]
        for place, number in enumerate(chosen):
            photo = cv2.imread(self.files[number])
            if rng.random() < 0.5:
                photo = cv2.flip(photo, 1)
            cv2.resize(photo, (SIZE, SIZE), dst=images[place], interpolation=cv2.INTER_AREA)


if __name__ == "__main__":
    source = Photos(*list_photos(make_photos("build/demo-photos"), "train"))
    with fastfeed.Loader(source, workers=2) as loader:
        for epoch in range(3):
            begin = time.perf_counter()
            brightness = [images.mean() for images, labels in loader]
            seconds = time.perf_counter() - begin
            print(
                f"epoch {epoch + 1}: {len(brightness)} batches, {len(brightness) / seconds:.0f} "
                f"batches/s, mean brightness {np.mean(brightness):.1f}"
            )
