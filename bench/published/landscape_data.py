"""The data set RANDOM of the data-loader landscape, smaller, and what each library makes of it.

JPEG files of random pixels, with a label each. All libraries do the same to a sample: decode it,
flip half of them, numbers from 0 to 1 minus 0.5 over 0.2, float32.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

SIDE, QUALITY = 256, 75  # pixels; the quality is Pillow's default, with which RANDOM was made
KINDS = 20
SHARDS = 4  # tar files for webdataset: its workers share them out
MEAN, DEVIATION = 0.5, 0.2
AHEAD = 2  # batches a worker, for every library: torch's default


def write(folder: Path, images: int) -> Path:
    """Write the files and the same ones in tar archives."""
    rng = np.random.default_rng(0)
    for number in range(images):
        pixels = rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
        _, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        (folder / f"{number:05d}.jpg").write_bytes(encoded.tobytes())
        (folder / f"{number:05d}.cls").write_text(str(number % KINDS))
    for shard in range(SHARDS):
        with tarfile.open(folder / f"{shard}.tar", "w") as archive:
            for path in sorted(folder.glob("*.jpg"))[shard::SHARDS]:
                archive.add(path, path.name)
                archive.add(path.with_suffix(".cls"), path.with_suffix(".cls").name)
    return folder


def sample(encoded: np.ndarray, flipped: bool) -> np.ndarray:
    """Decode and normalise; (3, side, side) float32."""
    image = cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB)
    if flipped:
        image = cv2.flip(image, 1)
    planes = image.transpose(2, 0, 1).astype(np.float32, order="C")
    planes *= np.float32(1 / (255 * DEVIATION))
    planes -= np.float32(MEAN / DEVIATION)
    return planes


class Files:
    """A map-style data set: the same object for torch and for fastfeed."""

    def __init__(self, folder: str):
        self.paths = sorted(str(path) for path in Path(folder).glob("*.jpg"))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        encoded = np.fromfile(self.paths[index], np.uint8)
        return sample(encoded, np.random.random() < 0.5), index % KINDS


@contextmanager
def of_torch(folder: str, batch: int, workers: int) -> Iterator[Any]:
    """torch.utils.data.DataLoader, workers kept alive."""
    from torch.utils.data import DataLoader

    options = {"prefetch_factor": AHEAD, "persistent_workers": True} if workers else {}
    yield DataLoader(Files(folder), batch_size=batch, num_workers=workers, **options)


@contextmanager
def of_webdataset(folder: str, batch: int, workers: int) -> Iterator[Any]:
    """webdataset, from its tar files, batched in the workers."""
    import webdataset

    def decoded(pair: tuple[bytes, bytes]) -> tuple[np.ndarray, int]:
        encoded = np.frombuffer(pair[0], np.uint8)
        return sample(encoded, np.random.random() < 0.5), int(pair[1])

    shards = [str(path) for path in sorted(Path(folder).glob("*.tar"))]
    samples = webdataset.WebDataset(shards, shardshuffle=False).to_tuple("jpg", "cls").map(decoded)
    options = {"prefetch_factor": AHEAD, "persistent_workers": True} if workers else {}
    yield webdataset.WebLoader(
        samples.batched(batch), batch_size=None, num_workers=workers, **options
    )


@contextmanager
def of_tf_data(folder: str, batch: int, workers: int) -> Iterator[Any]:
    """tf.data with TensorFlow's own functions; without workers one after another."""
    import tensorflow as tf

    def loaded(path: Any, label: Any) -> Any:
        image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
        image = tf.cast(tf.image.random_flip_left_right(image), tf.float32)
        return (image / 255.0 - MEAN) / DEVIATION, label

    paths = Files(folder).paths
    labels = [number % KINDS for number in range(len(paths))]
    data = tf.data.Dataset.from_tensor_slices((paths, labels))
    options = tf.data.Options()
    options.threading.private_threadpool_size = max(1, workers)
    options.autotune.enabled = False
    data = data.map(loaded, num_parallel_calls=workers or None).batch(batch).with_options(options)
    yield data.prefetch(AHEAD * workers) if workers else data


@contextmanager
def of_fastfeed(folder: str, batch: int, workers: int) -> Iterator[Any]:
    """fastfeed.Loader over the same object as torch's."""
    import fastfeed

    with fastfeed.Loader(
        Files(folder), batch, workers=workers, max_queue_size=max(1, AHEAD * workers)
    ) as loader:
        yield loader


LIBRARIES = {
    "torch DataLoader": (of_torch, "torch"),
    "tf.data": (of_tf_data, "tensorflow"),
    "webdataset": (of_webdataset, "webdataset"),
    "fastfeed": (of_fastfeed, "fastfeed"),
}
"""How each is opened, and the module that it needs."""
