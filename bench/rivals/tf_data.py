"""tf.data.Dataset.from_generator: the source in one Python thread, prefetched by tf.data."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import tensorflow as tf

from bench.sources import Source


@contextmanager
def opened(source: Source, workers: int, queue: int, option: str) -> Iterator[tf.data.Dataset]:
    """Open a dataset that keeps `queue` batches ahead; a generator has no workers to count."""

    def batches() -> Iterator[np.ndarray]:
        for index in range(len(source)):
            yield source[index]

    signature = tf.TensorSpec(source.shape, source.dtype)
    yield tf.data.Dataset.from_generator(batches, output_signature=signature).prefetch(queue)
