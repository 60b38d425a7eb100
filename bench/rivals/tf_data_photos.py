"""tf.data map over JPEG files: with TensorFlow's own image functions, or calling OpenCV."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import tensorflow as tf

from bench.sources import PHOTO_BATCH, PHOTO_SIDE, Photos


def _decode(path: tf.Tensor) -> tf.Tensor:
    image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
    everything = tf.constant([[[0.0, 0.0, 1.0, 1.0]]])
    begin, size, _ = tf.image.sample_distorted_bounding_box(
        tf.shape(image), everything, min_object_covered=0.0, area_range=(0.25, 1.0)
    )
    resized = tf.image.resize(tf.slice(image, begin, size), (PHOTO_SIDE, PHOTO_SIDE))
    return tf.image.random_flip_left_right(tf.cast(resized, tf.uint8))


def _images(source: Photos, workers: int) -> tf.data.Dataset:
    numbers = np.arange(len(source) * PHOTO_BATCH) % len(source.paths)
    paths = tf.data.Dataset.from_tensor_slices(tf.gather(source.paths, numbers))
    return paths.map(_decode, num_parallel_calls=workers).batch(PHOTO_BATCH)


def _batches(source: Photos, workers: int) -> tf.data.Dataset:
    def load(index: tf.Tensor) -> tf.Tensor:
        batch = tf.numpy_function(source.__getitem__, [index], tf.uint8)
        return tf.ensure_shape(batch, source.shape)

    return tf.data.Dataset.range(len(source)).map(load, num_parallel_calls=workers)


@contextmanager
def opened(source: Photos, workers: int, queue: int, option: str) -> Iterator[tf.data.Dataset]:
    """Open a dataset that maps with `workers` calls at once, `option`: tf.image or opencv."""
    mapped = {"tf.image": _images, "opencv": _batches}[option](source, workers)
    yield mapped.prefetch(queue)
