"""NVIDIA DALI's parallel external_source in a pipeline without a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from nvidia.dali import fn, pipeline_def, types

from bench.sources import Source

PIPELINE_DEPTH = 2  # DALI's default; deeper ones were no faster


class _Callback:
    """The source as DALI wants it: a list of samples, StopIteration past the end."""

    def __init__(self, source: Source):
        self._source = source

    def __call__(self, index: int) -> list[np.ndarray]:
        if index >= len(self._source):
            raise StopIteration
        return list(self._source[index])


class _Epochs:
    def __init__(self, pipeline):
        self._pipeline = pipeline

    def __iter__(self) -> Iterator[np.ndarray]:
        while True:
            try:
                (samples,) = self._pipeline.run()
            except StopIteration:
                break
            yield np.asarray(samples.as_tensor())  # a view of DALI's own buffer
        self._pipeline.reset()


@contextmanager
def opened(source: Source, workers: int, queue: int, option: str) -> Iterator[_Epochs]:
    """Open a pipeline with `workers` Python processes that make `queue` batches ahead."""
    kind = {"uint8": types.UINT8, "float32": types.FLOAT}[source.dtype.name]

    @pipeline_def(
        batch_size=source.shape[0],
        num_threads=workers,
        device_id=None,
        prefetch_queue_depth=PIPELINE_DEPTH,
        py_num_workers=workers,
        py_start_method="fork",
    )
    def pipeline():
        return fn.external_source(
            source=_Callback(source),
            parallel=True,
            batch=True,
            dtype=kind,
            ndim=len(source.shape) - 1,
            prefetch_queue_depth=queue,
        )

    built = pipeline()
    built.start_py_workers()
    built.build()
    yield _Epochs(built)
