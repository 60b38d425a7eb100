"""A PyTorch training loop fed by fastfeed.

    python examples/torch_loop.py

`Photos` is a map-style data set as for torch's own DataLoader: item `i` is one sample.  With
`batch_size` fastfeed makes the batches; they come as torch tensors, without a copy.
"""

import cv2
import numpy as np
import torch
from photos import PHOTOS, list_photos, make_photos

import fastfeed


class Photos:
    """One photograph and its class at a time: float32 (3, 64, 64) in 0..1, int64."""

    def __init__(self, files, labels):
        self.files, self.labels = files, labels

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        image = cv2.resize(cv2.imread(self.files[index]), (64, 64), interpolation=cv2.INTER_AREA)
        if np.random.random() < 0.5:
            image = cv2.flip(image, 1)
        return image.transpose(2, 0, 1).astype(np.float32) / 255, self.labels[index]


def build_model():
    """Make a small convolutional network."""
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 16, 3, stride=2, padding=1),
        torch.nn.ReLU(),
        torch.nn.Conv2d(16, 32, 3, stride=2, padding=1),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(128, len(PHOTOS)),
    )


def train(source, epochs=3):
    """Train on `source` and print how it goes."""
    torch.manual_seed(0)
    model = build_model()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    options = {"batch_size": 32, "workers": 2, "shuffle": True, "framework": "torch"}
    with fastfeed.Loader(source, **options) as loader:
        for epoch in range(epochs):
            right = total = 0
            for x, y in loader:
                scores = model(x)
                loss = torch.nn.functional.cross_entropy(scores, y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                right += int((scores.argmax(1) == y).sum())
                total += len(y)
            print(f"epoch {epoch + 1}: accuracy on the training photographs {right / total:.3f}")


if __name__ == "__main__":
    train(Photos(*list_photos(make_photos("build/demo-photos"), "train")))
