"""A `Loader` as something that Keras's ``fit``, ``evaluate`` and ``predict`` take as ``x``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from fastfeed.errors import ArgumentError
from fastfeed.keras import host
from fastfeed.keras.epochs import Batches, Epochs, Transform
from fastfeed.keras.ignored import refuse_ignored_arguments
from fastfeed.keras.tensorflow import TensorFlowDataset, dataset_for_strategy
from fastfeed.keras.weights import OF_NUMPY, ClassWeights, of_keras
from fastfeed.loader import Loader


def adapter(
    loader: Loader, class_weight: Mapping[int, float] | None = None, model: Any = None
) -> Any:
    """Make a Keras data adapter of a loader, for ``model.fit(adapter(loader), ...)``.

    Keras ignores ``class_weight``, ``y``, ``batch_size`` and ``shuffle`` of a ``fit`` that is
    given an adapter: pass ``class_weight`` here, and the others to the Loader.

    Parameters
    ----------
    loader : Loader
        Its framework is Keras's backend (no copy) or ``"numpy"`` (each batch is copied). It is not
        closed by the adapter. Give a loader to one adapter only.
    class_weight : mapping of int to float, optional
        Weight of each class, applied as ``sample_weight``; for training only.
    model : keras.Model, optional
        The compiled model that will read it. On TensorFlow it is needed if it was compiled with
        ``steps_per_execution`` or is trained under a distribution strategy, and otherwise saves
        tracing the step again for a smaller last batch.

    Returns
    -------
    keras.src.trainers.data_adapters.data_adapter.DataAdapter
        Its ``close()`` leaves the pass that is being read and lets go of the loader.

    Raises
    ------
    ArgumentError
        `loader` is no Loader or hands out another framework's tensors, or they lie on a device
        that Keras does not use; `class_weight` is no map; `model` is no Keras model.
    UnsupportedHost
        Keras is missing, older than 3.7 or on a backend that cannot be fed.

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
    if model is not None:
        host.check_model(model)
    strategy = host.has_strategy(model)
    if loader.device is not None:
        _check_device(loader.device, strategy)
    transform = None if class_weight is None else _weigher(class_weight, loader.device is not None)
    source = Epochs(loader, always_peeks=strategy)
    return _adapter_class()(source, transform, model, strategy)


def _check_device(device: str, strategy: bool) -> None:
    """Raise where batches on this GPU are of no use to Keras."""
    if strategy:
        raise ArgumentError(
            "Under a distribution strategy TensorFlow divides the batches in host memory and "
            "copies the parts to its GPUs itself: leave out device.",
            f'device="{device}"',
        )
    host.check_device(device)


def _weigher(class_weight: Mapping[int, float], on_device: bool) -> Transform:
    """Return what adds class weights to a batch, in Keras's floating type, as tensors."""
    import keras

    arrays = of_keras() if on_device else OF_NUMPY
    convert = keras.ops.convert_to_tensor
    return ClassWeights(class_weight, keras.config.floatx(), convert, arrays).apply


@cache
def _adapter_class() -> Any:
    """Define the adapter class: at first use, because its base class imports Keras."""
    base = host.data_adapter_class()

    class LoaderAdapter(base):  # type: ignore[misc, valid-type]
        """Keras's view of a loader. The hooks and getters are called by Keras alone."""

        has_partial_batch = None
        partial_batch_size = None
        batch_size = None

        def __init__(
            self, source: Epochs, transform: Transform | None, model: Any, strategy: bool
        ) -> None:
            self.source = source
            self._transform = transform
            self._model = model
            self._strategy = strategy
            self._dataset: Any = None

        @property
        def num_batches(self) -> int | None:
            refuse_ignored_arguments(self)  # what Keras asks for first, in every call
            self.source.asked_for_length()
            return self.source.batches_per_epoch

        def get_tf_dataset(self) -> Any:
            if self._dataset is None:  # kept: TensorFlow never lets go of a real one's graphs
                self._dataset = self._make_dataset()
            return self._dataset

        def _make_dataset(self) -> Any:
            if self._strategy:
                return dataset_for_strategy(self.source, self._transform)
            return TensorFlowDataset(self.source, self._transform, self._model)

        def get_torch_dataloader(self) -> Batches:
            return Batches(self.source, self._transform)

        def get_jax_iterator(self) -> Batches:
            return Batches(self.source, self._transform)

        def on_epoch_begin(self) -> None:
            self.source.begin_epoch()

        def on_epoch_end(self) -> None:
            self.source.end_epoch()

        def close(self) -> None:
            self.source.close()

    return LoaderAdapter
