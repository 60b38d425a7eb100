"""A Keras data set as people write it: decode, augment and resize with OpenCV, a batch at a time.

Nothing here knows of fastfeed.  The same object goes to ``model.fit`` and to
``fastfeed.fit_generator``.
"""

from __future__ import annotations

import cv2
import keras
import numpy as np


class PhotoSequence(keras.utils.PyDataset):
    """Batches of photographs read from JPEG files.

    Parameters
    ----------
    files : list of str
        JPEG files.
    labels : numpy.ndarray
        int64, (len(files),): the class of each.
    batch_size : int
        Images a batch; the last batch may be smaller.
    image_size : int
        Side of the square images handed to the model, in pixels.
    augment : bool
        Change each image at random: for training, not for validation.
    """

    def __init__(self, files, labels, batch_size=32, image_size=96, augment=False):
        super().__init__()
        order = np.random.default_rng(0).permutation(len(files))  # mix the classes in every batch
        self.files = [files[i] for i in order]
        self.labels = np.asarray(labels)[order]
        self.batch_size = batch_size
        self.image_size = image_size
        self.augment = augment

    def __len__(self):
        return -(-len(self.files) // self.batch_size)

    def __getitem__(self, index):
        """Make batch `index`: x float32 (n, size, size, 3) in 0..1, y int64 (n,)."""
        part = slice(index * self.batch_size, (index + 1) * self.batch_size)
        images = [self.load(file) for file in self.files[part]]
        return np.stack(images).astype(np.float32) / 255, self.labels[part]

    def load(self, file):
        """Decode one file; uint8, (size, size, 3), red-green-blue."""
        image = cv2.cvtColor(cv2.imread(file), cv2.COLOR_BGR2RGB)
        if self.augment:
            image = move(image)
        size = (self.image_size, self.image_size)
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        return relight(image) if self.augment else image


def move(image):
    """Rotate, cut and flip `image` (uint8, (height, width, 3)) at random."""
    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), np.random.uniform(-20, 20), 1.0)
    image = cv2.warpAffine(image, turn, (width, height), borderMode=cv2.BORDER_REFLECT_101)
    side = int(min(height, width) * np.random.uniform(0.7, 1.0))
    top = np.random.randint(height - side + 1)
    left = np.random.randint(width - side + 1)
    image = image[top : top + side, left : left + side]
    return cv2.flip(image, 1) if np.random.random() < 0.5 else image


def relight(image):
    """Change the contrast, brightness and colour of `image` (uint8) at random."""
    contrast = np.random.uniform(0.8, 1.2)
    brightness = np.random.uniform(-25, 25) + np.random.uniform(-8, 8, size=3)
    return np.clip(image * contrast + brightness, 0, 255).astype(np.uint8)
