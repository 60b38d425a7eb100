"""The seed table's source: JPEG files read as a Keras user's `Sequence` reads them.

Apart from Keras, so that no worker has to import that.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

KINDS = 8  # photographs that the files are cut from, in turn: the classes


class Pictures:
    """Batches of decoded pictures.

    Parameters
    ----------
    folder : path
        JPEG files, as `bench.photos` writes them.
    side : int
        Pixels of a side of the pictures that the model sees.
    batch : int
        Pictures a batch.
    """

    def __init__(self, folder: Path | str, side: int, batch: int):
        self.files = sorted(str(path) for path in Path(folder).glob("*.jpg"))
        self.side, self.batch = side, batch

    def __len__(self) -> int:
        return -(-len(self.files) // self.batch)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Decode batch `index`: float32 (n, side, side, 3) in 0..1, and int64 (n,)."""
        numbers = range(len(self.files))[index * self.batch : (index + 1) * self.batch]
        pictures = [self._decode(self.files[number]) for number in numbers]
        return np.stack(pictures).astype("float32") / 255, np.array(numbers) % KINDS

    def _decode(self, path: str) -> np.ndarray:
        size = (self.side, self.side)
        return cv2.resize(cv2.imread(path), size, interpolation=cv2.INTER_AREA)

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Decode everything."""
        batches = [self[index] for index in range(len(self))]
        pictures, labels = zip(*batches, strict=True)
        return np.concatenate(pictures), np.concatenate(labels)
