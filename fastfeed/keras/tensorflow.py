"""What Keras's TensorFlow trainer reads in place of a ``tf.data.Dataset``.

Given a Python iterator, the trainer takes the batches of one execution with
``zip(range(steps_per_execution), iterator)`` and runs the compiled step on each, as
``train_on_batch`` does. That is cheaper than a ``tf.data`` iterator, and copies nothing.

Only under a distribution strategy it must be a real data set, whose batches the strategy divides.
"""

from __future__ import annotations

from typing import Any, NoReturn

from fastfeed.devices.dataset import dataset, signature_of
from fastfeed.errors import UnsupportedHost
from fastfeed.keras.epochs import Batches, Epochs, Transform


class TensorFlowDataset:
    """Keras calls ``iter()`` on it: once or more an epoch, and does not read every iterator.

    Parameters
    ----------
    source : Epochs
        Gives the batches.
    transform : callable or None
        Applied to each batch.
    model : keras.Model or None
        Who reads it, if known.
    """

    def __init__(self, source: Epochs, transform: Transform | None, model: Any) -> None:
        self._source = source
        self._transform = transform
        self._steps_per_execution = 1 if model is None else model.steps_per_execution
        self._open_first = model is not None and not model.run_eagerly

    def __iter__(self) -> TensorFlowBatches:
        return TensorFlowBatches(
            self._source, self._transform, self._steps_per_execution, self._open_first
        )

    @property
    def _variant_tensor(self) -> NoReturn:
        """What a distribution strategy asks a data set for.

        Raises
        ------
        UnsupportedHost
            Always: it was not known that there is a strategy.
        """
        raise UnsupportedHost(
            "The model is trained under a distribution strategy, which the adapter has to know: "
            "write adapter(loader, model=model)."
        )


class TensorFlowBatches(Batches):
    """One iterator, which ends as Keras wants it."""

    def __init__(
        self,
        source: Epochs,
        transform: Transform | None,
        steps_per_execution: int,
        open_first: bool,
    ) -> None:
        super().__init__(source, transform)
        self._steps_per_execution = steps_per_execution
        self._open_next = open_first
        self._taken = 0

    def __next__(self) -> Any:
        try:
            batch = super().__next__()
        except StopIteration:
            self._end()
        self._taken += 1
        if self._open_next:
            self._open_next = False
            batch = _with_open_size(batch)
        return batch

    def _end(self) -> NoReturn:
        """Raise what Keras understands as the end of the data.

        Within an execution StopIteration ends the `zip`, and Keras reports the steps that were
        done. As the first of one, `zip` would swallow it and Keras return an unbound variable.
        """
        import tensorflow as tf

        within = self._taken % self._steps_per_execution
        self._taken = 0
        if within:
            raise StopIteration
        raise tf.errors.OutOfRangeError(None, None, "the source has no more batches")


class OpenSize:
    """A tensor that has tf.function leave its first dimension open when it traces a step.

    Keras's own data sets have an open batch size. With a fixed one, TensorFlow would trace the
    step once more for a smaller last batch, and round differently in the last bit. Only the first
    batch has to be wrapped: later ones go to the function that was traced with it.
    """

    def __init__(self, tensor: Any) -> None:
        self._tensor = tensor

    def __tf_tracing_type__(self, context: Any) -> Any:
        import tensorflow as tf

        return tf.TensorSpec([None, *self._tensor.shape[1:]], self._tensor.dtype)

    def __tf_tensor__(self, dtype: Any = None, name: str | None = None) -> Any:
        return self._tensor


def _with_open_size(batch: Any) -> Any:
    """Wrap the tensors of a batch; scalars and what is no tensor stay as they are."""
    import keras
    import tensorflow as tf

    def wrap(leaf: Any) -> Any:
        return OpenSize(leaf) if isinstance(leaf, tf.Tensor) and leaf.shape.rank else leaf

    return keras.tree.map_structure(wrap, batch)


def dataset_for_strategy(source: Epochs, transform: Transform | None) -> Any:
    """Return a ``tf.data.Dataset`` of the batches, each ``iter()`` of it being an epoch.

    Waits for a batch, to see what batches look like.
    """
    source.restart()
    (first,) = source.peek(1)
    signature = signature_of(first if transform is None else transform(first))
    return dataset(lambda: Batches(source, transform), output_signature=signature)
