"""Photographs that are decoded once and augmented in every epoch, in a PyTorch training loop.

    python examples/cache.py [FOLDER]

The small pictures are kept in shared memory; with a FOLDER, on disk, for the next run as well.
"""

import sys

import cv2
import numpy as np
import torch
from photos import list_photos, make_photos
from torch_loop import build_model

import fastfeed
from fastfeed.caching.base import stamp_of


class Photos:
    """One photograph and its class at a time, without any chance in it: uint8 (64, 64, 3), int."""

    def __init__(self, files, labels):
        self.files, self.labels = files, labels

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        picture = cv2.imread(self.files[index])
        return cv2.resize(picture, (64, 64), interpolation=cv2.INTER_AREA), self.labels[index]

    def fingerprint(self):
        """Tell a folder of these pictures from one of others."""
        return f"64x64 {self.files}"

    def stamp(self, index):
        """Tell when a file has changed since it was kept."""
        return stamp_of(self.files[index])


def augment(sample, rng):
    """Flip and brighten, in the workers: float32 (3, 64, 64), int64."""
    picture, label = sample
    if rng.random() < 0.5:
        picture = picture[:, ::-1]
    brightness = np.float32(rng.uniform(0.8, 1.2) / 255)
    return np.moveaxis(picture, 2, 0) * brightness, label


def train(source, cache, epochs=3):
    """Train on `source` and print how it goes."""
    torch.manual_seed(0)
    model = build_model()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    options = {"batch_size": 32, "workers": 2, "shuffle": True, "framework": "torch"}
    with fastfeed.Loader(source, transform=augment, cache=cache, **options) as loader:
        for epoch in range(epochs):
            right = 0
            for x, y in loader:
                scores = model(x)
                loss = torch.nn.functional.cross_entropy(scores, y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                right += int((scores.argmax(1) == y).sum())
            print(f"epoch {epoch + 1}: accuracy {right / len(source):.3f}; {loader.stats().cache}")


if __name__ == "__main__":
    files, labels = list_photos(make_photos("build/demo-photos"), "train")
    train(Photos(files, labels), f"disk:{sys.argv[1]}" if len(sys.argv) > 1 else "memory")
