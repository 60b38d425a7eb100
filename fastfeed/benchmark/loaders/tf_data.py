"""tf.data: the source called by ``map`` through ``numpy_function``, several calls at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf

from fastfeed.benchmark.checks import leaves
from fastfeed.benchmark.loaders import Setting


@contextmanager
def opened(source: Any, setting: Setting) -> Iterator[Iterable[Any]]:
    """Open a dataset that maps with `workers` threads and keeps `queue` batches ahead."""
    dtypes = [leaf.dtype for leaf in leaves(source[0])]

    def load(index: Any) -> Any:
        def arrays(number: int) -> list[np.ndarray]:
            return leaves(source[int(number)])

        return tf.numpy_function(arrays, [index], dtypes)

    indices = tf.data.Dataset.range(len(source))
    yield indices.map(load, num_parallel_calls=setting.workers).prefetch(setting.queue)
