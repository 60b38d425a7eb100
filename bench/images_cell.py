"""One way from JPEG files to batches, in a process of its own: ``python -m bench.images_cell CELL``
prints JSON.

The first pass over the files warms up and is looked at, the second fills the queues as a pass does;
then whole passes are timed, with their beginnings. The consumer takes a batch and drops it.
"""

from __future__ import annotations

import json
import math
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.published.arena_cell import cpu_seconds

SIDE, BATCH, WORKERS = 224, 32, 2
SCALE, RATIO = (0.08, 1.0), (3 / 4, 4 / 3)  # of the random crops: area, width over height
FASTFEED, FASTFEED_BYTES = "fastfeed, float32", "fastfeed, uint8"
FASTFEED_FAST = "fastfeed, float32, fast=True"
FASTFEED_AS_KERAS = "fastfeed, resized and flipped only"
KERAS = "ImageDataGenerator, threads, resized and flipped only"
KERAS_MOVED = "ImageDataGenerator, threads, random zoom, shift and flip"
TF, TF_FUSED = "tf.data, decode_jpeg", "tf.data, decode_and_crop_jpeg"
SPDL, SPDL_FAST = "SPDL, bilinear", "SPDL, fast_bilinear"
HEAD_START = 1.0
"""Seconds that workers have to start, while a script makes its model."""
WHEN_READY = "seconds_when_ready"
FIRST = "first batch of {batch}, rows={rows}"
Batches = Iterable[np.ndarray]


@dataclass(frozen=True)
class Cell:
    """What to run; travels as JSON on the command line.

    Parameters
    ----------
    name : str
        A key of `WAYS`; for a first batch, anything.
    folder : str
        With a folder of JPEG files a class.
    passes : int
        Timed.
    first : (int, bool), optional
        Time the first batch of so many pictures, with or without rows, and nothing else.
    """

    name: str
    folder: str
    passes: int = 1
    first: tuple[int, bool] | None = None

    def dumps(self) -> str:
        """Return the cell as JSON."""
        return json.dumps(asdict(self))


def files_in(folder: str) -> list[str]:
    """Return the names of all JPEG files below a folder."""
    return sorted(map(str, Path(folder).rglob("*.jpg")))


class _Pictures:
    """The pictures of (pictures, labels)."""

    def __init__(self, batches: Iterable[Any]):
        self._batches = batches

    def __iter__(self) -> Iterator[np.ndarray]:
        for pictures, _ in self._batches:
            yield pictures


@contextmanager
def _fastfeed(
    folder: str, dtype: str = "float32", cut: bool = True, fast: bool = False
) -> Iterator[Batches]:
    import fastfeed

    pictures = fastfeed.images(
        folder,
        target_size=(SIDE, SIDE),
        batch_size=BATCH,
        dtype=dtype,
        fast=fast,
        horizontal_flip=True,
        random_resized_crop=(SCALE, RATIO) if cut else False,
        interpolation="bilinear" if cut else "nearest",
    )
    with fastfeed.Loader(pictures, workers=WORKERS, use_multiprocessing=True) as loader:
        yield _Pictures(loader)


@contextmanager
def _keras(folder: str, moved: bool = False) -> Iterator[Batches]:
    """Keras has no random crop; `moved`: what comes nearest to one, by its affine transform."""
    from keras.src.legacy.preprocessing.image import ImageDataGenerator
    from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter

    moves = {"zoom_range": (0.3, 1.0), "width_shift_range": 0.2, "height_shift_range": 0.2}
    generator = ImageDataGenerator(horizontal_flip=True, **(moves if moved else {}))
    iterator = generator.flow_from_directory(
        folder, target_size=(SIDE, SIDE), batch_size=BATCH
    )
    iterator.workers = WORKERS
    adapter = PyDatasetAdapter(iterator)

    class Epochs:
        def __iter__(self) -> Iterator[Any]:
            adapter.on_epoch_begin()
            yield from adapter.get_numpy_iterator()
            adapter.on_epoch_end()

    yield _Pictures(Epochs())


@contextmanager
def _tf_data(folder: str, fused: bool = False) -> Iterator[Batches]:
    import tensorflow as tf

    whole = tf.constant([[[0.0, 0.0, 1.0, 1.0]]])

    def draw(shape: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        begin, size, _ = tf.image.sample_distorted_bounding_box(
            shape, whole, 0, min_object_covered=0.0, area_range=SCALE, aspect_ratio_range=RATIO
        )
        return begin, size

    def cut(file: tf.Tensor) -> tf.Tensor:
        if fused:
            begin, size = draw(tf.image.extract_jpeg_shape(file))
            window = tf.concat([begin[:2], size[:2]], 0)
            return tf.image.decode_and_crop_jpeg(file, window, channels=3)
        image = tf.io.decode_jpeg(file, channels=3)
        return tf.slice(image, *draw(tf.shape(image)))

    def load(path: tf.Tensor) -> tf.Tensor:
        picture = tf.image.resize(cut(tf.io.read_file(path)), (SIDE, SIDE))
        return tf.image.random_flip_left_right(picture)

    names = files_in(folder)
    paths = tf.data.Dataset.from_tensor_slices(names).shuffle(len(names))
    mapped = paths.map(load, num_parallel_calls=tf.data.AUTOTUNE)
    yield mapped.batch(BATCH).prefetch(tf.data.AUTOTUNE)


@contextmanager
def _spdl(folder: str, scaler: str) -> Iterator[Batches]:
    import spdl.io
    from spdl.pipeline import PipelineBuilder

    rng = random.Random(0)

    def load(path: str) -> Any:
        top, left, height, width = draw_crop(rng, 375, 500)  # as photos.py makes them
        steps = [
            f"crop={width}:{height}:{left}:{top}",
            f"scale={SIDE}:{SIDE}:flags={scaler}",
            *(["hflip"] if rng.random() < 0.5 else []),
            "format=pix_fmts=rgb24",
        ]
        return spdl.io.decode_packets(spdl.io.demux_image(path), filter_desc=",".join(steps))

    def join(frames: list[Any]) -> np.ndarray:
        return spdl.io.to_numpy(spdl.io.convert_frames(frames))

    class Shuffled:
        def __iter__(self) -> Iterator[str]:
            yield from rng.sample(names, len(names))

    names = files_in(folder)
    builder = PipelineBuilder().add_source(Shuffled(), continuous=True)
    builder.pipe(load, concurrency=WORKERS).aggregate(BATCH).pipe(join).add_sink(10)
    pipeline = builder.build(num_threads=WORKERS, max_failures=0)

    class Passes:
        def __iter__(self) -> Iterator[np.ndarray]:
            return iter(pipeline.get_iterator())

    with pipeline.auto_stop():
        yield Passes()


def draw_crop(rng: random.Random, height: int, width: int) -> tuple[int, int, int, int]:
    """Draw top, left, height and width of a random crop."""
    while True:
        area = height * width * rng.uniform(*SCALE)
        ratio = math.exp(rng.uniform(*map(math.log, RATIO)))
        rows, columns = round((area / ratio) ** 0.5), round((area * ratio) ** 0.5)
        if rows <= height and columns <= width:
            return rng.randint(0, height - rows), rng.randint(0, width - columns), rows, columns


Way = Callable[[str], AbstractContextManager[Batches]]
WAYS: dict[str, Way] = {
    FASTFEED: _fastfeed,
    FASTFEED_BYTES: lambda folder: _fastfeed(folder, "uint8"),
    FASTFEED_FAST: lambda folder: _fastfeed(folder, fast=True),
    FASTFEED_AS_KERAS: lambda folder: _fastfeed(folder, cut=False),
    KERAS: _keras,
    KERAS_MOVED: lambda folder: _keras(folder, moved=True),
    TF: _tf_data,
    TF_FUSED: lambda folder: _tf_data(folder, fused=True),
    SPDL: lambda folder: _spdl(folder, "bilinear"),
    SPDL_FAST: lambda folder: _spdl(folder, "fast_bilinear"),
}
BYTES = (FASTFEED_BYTES, SPDL, SPDL_FAST)  # they give uint8, the others float32


def look(batches: Batches, count: int, dtype: str) -> None:
    """Raise AssertionError unless so many pictures come, of the right shape, none of them empty."""
    came = 0
    for batch in batches:
        pictures = np.asarray(batch)
        if pictures.shape[1:] != (SIDE, SIDE, 3) or pictures.dtype != dtype:
            raise AssertionError(f"a batch of {pictures.dtype}{pictures.shape}")
        if not (pictures.reshape(len(pictures), -1).std(1) > 0).all() or pictures.max() > 255:
            raise AssertionError("an empty picture, or not of 0 to 255")
        came += len(pictures)
        del batch, pictures  # they may be leases
    if came != count:
        raise AssertionError(f"{came} of {count} pictures came")


def one_pass(batches: Batches) -> float:
    """Take all batches and drop them; return the seconds."""
    begin = time.perf_counter()
    for batch in batches:
        del batch
    return time.perf_counter() - begin


def run(cell: Cell) -> dict[str, Any]:
    """Do the passes."""
    if cell.first:
        return first_batches(cell.folder, *cell.first)
    count = len(files_in(cell.folder))
    with WAYS[cell.name](cell.folder) as batches:
        look(batches, count, "uint8" if cell.name in BYTES else "float32")
        one_pass(batches)
        _, before = cpu_seconds()
        seconds = [one_pass(batches) for _ in range(cell.passes)]
        _, after = cpu_seconds()
    images = cell.passes * count
    return {
        "images_per_second": images / sum(seconds),
        "seconds": seconds,
        "cpu_us_an_image": 1e6 * (after - before) / images,
    }


def first_batches(folder: str, batch: int, rows: bool) -> dict[str, float]:
    """Return the seconds from making a `Loader` to its first batch, and from asking for that one
    where the workers had time to start. Of bytes and with a short queue, or taking the memory for
    the queue (2 GB) would be most of it.
    """
    import fastfeed

    pictures = fastfeed.images(
        folder,
        target_size=(SIDE, SIDE),
        batch_size=batch,
        dtype="uint8",
        random_resized_crop=True,
        interpolation="bilinear",
        horizontal_flip=True,
    )
    options = {"workers": WORKERS, "use_multiprocessing": True, "max_queue_size": 2}
    begin = time.perf_counter()
    with fastfeed.Loader(pictures, rows=rows, **options) as loader:
        images, _ = next(iter(loader))
        from_the_start = time.perf_counter() - begin
        assert len(images) == batch
    with fastfeed.Loader(pictures, rows=rows, **options) as loader:
        time.sleep(HEAD_START)
        begin = time.perf_counter()
        next(iter(loader))
        when_ready = time.perf_counter() - begin
    return {"seconds": from_the_start, WHEN_READY: when_ready}


if __name__ == "__main__":
    print(json.dumps(run(Cell(**json.loads(sys.argv[1])))))
