"""Photographs from a folder per class into a PyTorch training loop: the files are all there is.

    python examples/images.py

`fastfeed.images` finds the files and their classes, and worker processes decode them, cut random
parts out of them and write these into the batch as bytes; the model makes numbers of 0..1 of them.
"""

import torch
from photos import make_photos
from torch_loop import build_model

import fastfeed


def train(folder, epochs=3):
    """Train on the pictures of `folder` and print how it goes."""
    torch.manual_seed(0)
    model = build_model()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    source = fastfeed.images(
        folder,
        target_size=(64, 64),
        random_resized_crop=((0.3, 1), (3 / 4, 4 / 3)),
        interpolation="bilinear",
        horizontal_flip=True,
        dtype="uint8",
        data_format="channels_first",
        class_mode="sparse",
        fast=True,
    )
    with fastfeed.Loader(source, workers=2, framework="torch") as loader:
        for epoch in range(epochs):
            right = 0
            for x, y in loader:
                scores = model(x / 255)
                loss = torch.nn.functional.cross_entropy(scores, y.long())
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                right += int((scores.argmax(1) == y).sum())
            print(f"epoch {epoch + 1}: accuracy on the training photographs {right / source.n:.3f}")


if __name__ == "__main__":
    train(make_photos("build/demo-photos") / "train")
