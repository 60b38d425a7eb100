"""A `Loader` as something that Keras's ``fit``, ``evaluate`` and ``predict`` take as ``x``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NoReturn

from fastfeed.errors import ArgumentError
from fastfeed.keras import host
from fastfeed.keras.feed import Feed
from fastfeed.keras.weights import ClassWeights
from fastfeed.loader import Loader

Transform = Callable[[Any], Any]


def adapter(
    loader: Loader,
    class_weight: Mapping[int, float] | None = None,
    steps_per_execution: int = 1,
) -> Any:
    """Make a Keras data adapter of a loader, for ``model.fit(x=adapter(loader), ...)``.

    Keras ignores ``class_weight``, ``y``, ``batch_size`` and ``shuffle`` of a ``fit`` that is
    given an adapter: pass ``class_weight`` here, the others to the Loader.

    Parameters
    ----------
    loader : Loader
        Made with ``framework="tensorflow"`` (no copy) or ``"numpy"`` (TensorFlow copies each
        batch). It is not closed by the adapter. Give a loader to one adapter only.
    class_weight : mapping of int to float, optional
        Weight of each class, applied as ``sample_weight``; for training only.
    steps_per_execution : int
        What the model was compiled with, if not 1. It matters only where the data ends in the
        middle of such a group of steps.

    Returns
    -------
    keras.src.trainers.data_adapters.data_adapter.DataAdapter
        Its ``close()`` lets go of the pass that is being read.

    Raises
    ------
    ArgumentError
        `loader` is no Loader or hands out another framework's arrays; `class_weight` is no map.
    UnsupportedHost
        Keras is missing, older than 3.7 or on another backend than TensorFlow.

    Examples
    --------
    >>> with fastfeed.Loader(sequence, workers=4, framework="tensorflow") as loader:
    ...     model.fit(fastfeed.keras.adapter(loader), epochs=3)
    """
    backend = host.backend()
    if not isinstance(loader, Loader):
        raise ArgumentError(
            "adapter() takes a fastfeed.Loader; for anything else write adapter(Loader(source)).",
            type(loader).__name__,
        )
    if loader.framework not in (backend, "numpy"):
        raise ArgumentError(
            f'Keras runs on {backend}: make the Loader with framework="{backend}".',
            f'framework="{loader.framework}"',
        )
    transform = _class_weights(class_weight) if class_weight is not None else None
    return _adapter_class()(Feed(loader), transform, steps_per_execution)


def _class_weights(class_weight: Mapping[int, float]) -> Transform:
    """Return what adds class weights to a batch, in Keras's floating type, as tensors."""
    import keras
    import tensorflow as tf

    return ClassWeights(class_weight, keras.config.floatx(), tf.convert_to_tensor).apply


class TensorFlowBatches:
    """The iterator that Keras's TensorFlow trainer reads in place of one over a tf.data.Dataset.

    Keras takes the batches of one execution with ``zip(range(steps_per_execution), iterator)``
    and runs the compiled step on each, as ``train_on_batch`` does.
    """

    def __init__(self, feed: Feed, transform: Transform | None, steps_per_execution: int) -> None:
        self._feed = feed
        self._transform = transform
        self._group = steps_per_execution
        self._taken = 0
        self._begun = False

    def __iter__(self) -> TensorFlowBatches:
        return self

    def __next__(self) -> Any:
        if not self._begun:
            self._begun = True
            self._feed.restart()
        try:
            batch = self._feed.take()
        except StopIteration:
            self._end()
        self._taken += 1
        return batch if self._transform is None else self._transform(batch)

    def _end(self) -> NoReturn:
        """Raise what Keras understands as the end of the data.

        In the middle of a group StopIteration ends the `zip`, and Keras reports the steps that
        were done. At the start of one `zip` would swallow it and Keras return an unbound variable.
        """
        import tensorflow as tf

        in_group = self._taken % self._group
        self._taken = 0
        if in_group:
            raise StopIteration
        raise tf.errors.OutOfRangeError(None, None, "the source has no more batches")


class _TensorFlowDataset:
    """What Keras calls ``iter()`` on, once or more an epoch."""

    def __init__(self, *arguments: Any) -> None:
        self._arguments = arguments

    def __iter__(self) -> TensorFlowBatches:
        return TensorFlowBatches(*self._arguments)


@cache
def _adapter_class() -> Any:
    """Define the adapter class: at first use, because its base class imports Keras."""
    base = host.data_adapter_class()

    class LoaderAdapter(base):  # type: ignore[misc, valid-type]
        """Keras's view of a loader."""

        has_partial_batch = None
        partial_batch_size = None
        batch_size = None

        def __init__(self, feed: Feed, transform: Transform | None, group: int) -> None:
            self.feed = feed
            self._transform = transform
            self._group = group

        @property
        def num_batches(self) -> int | None:
            return self.feed.batches_per_epoch

        def get_tf_dataset(self) -> _TensorFlowDataset:
            return _TensorFlowDataset(self.feed, self._transform, self._group)

        def on_epoch_begin(self) -> None:
            self.feed.begin_epoch()

        def close(self) -> None:
            self.feed.close()

    return LoaderAdapter
