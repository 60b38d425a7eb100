"""``fit_generator``, ``evaluate_generator`` and ``predict_generator``, as they were in Keras 2.

Each makes a `Loader` of the source, hands it to the model's own ``fit``, ``evaluate`` or
``predict``, and closes it again however that ends.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from fastfeed.errors import ArgumentError
from fastfeed.keras import host
from fastfeed.keras.adapter import adapter
from fastfeed.keras.arguments import LoaderArguments, require_steps, whole_steps
from fastfeed.keras.epochs import Epochs
from fastfeed.keras.wait import data_wait_callback
from fastfeed.loader import Loader


def fit_generator(
    model: Any,
    generator: Any,
    steps_per_epoch: float | None = None,
    epochs: int = 1,
    verbose: int | str = "auto",
    callbacks: Sequence[Any] | None = None,
    validation_data: Any = None,
    validation_steps: float | None = None,
    validation_freq: int | Sequence[int] = 1,
    class_weight: Mapping[int, float] | None = None,
    max_queue_size: int = 10,
    workers: int = 1,
    use_multiprocessing: bool = False,
    shuffle: bool = True,
    initial_epoch: int = 0,
    data_wait: bool = True,
    **loader_options: Any,
) -> Any:
    """Train `model` on the batches of `generator`, made ahead by workers.

    Parameters
    ----------
    model : keras.Model
        Compiled.
    generator : object
        Whatever `Loader` takes (Sequence, generator, generator function, arrays with
        `batch_size`), or a Loader. Its batches are ``(x, y)`` or ``(x, y, sample_weight)``.
    steps_per_epoch : int, optional
        Batches an epoch. A source of known length has its own; any other needs it, and its
        batches run on over the epochs.
    epochs, verbose, callbacks, validation_freq, initial_epoch
        As in ``model.fit``.
    validation_data : object, optional
        A tuple of arrays, which Keras takes as it is, or what `generator` may be; then it gets
        a Loader of its own with the same options, unshuffled.
    validation_steps : int, optional
        Batches of one validation.
    class_weight : mapping of int to float, optional
        Weight of each class; multiplied with a sample_weight of the batch.
    max_queue_size : int
        Batches that may be ready or in the making ahead of the training step.
    workers : int
        Threads or processes that make batches; 0: the calling thread does.
    use_multiprocessing : bool
        Processes, not threads.
    shuffle : bool
        Mix the order of the batches (of the samples, with `batch_size`) of an indexable source
        anew each epoch. Other sources have one order only.
    data_wait : bool
        Log as ``data_wait``, for the progress bar, the History and other callbacks, the share of
        each epoch's time (of its steps so far) that training spent waiting for data.
    **loader_options
        Further options of `Loader`, such as `batch_size`, `seed` or `ordered`.

    Returns
    -------
    keras.callbacks.History

    Raises
    ------
    ArgumentError
        An argument is unknown, missing or has no effect.
    SourceError
        The source cannot be fed, or an item of it.
    UnsupportedHost
        This Keras, its backend or the model's distribution strategy cannot be fed.
    """
    host.check_model(model)
    making = LoaderArguments(max_queue_size, workers, use_multiprocessing, shuffle, loader_options)
    validate = _is_source(validation_data)
    if isinstance(generator, Loader) and (not validate or isinstance(validation_data, Loader)):
        making.refuse_unless(LoaderArguments())
    steps = whole_steps(steps_per_epoch, "steps_per_epoch")
    val_steps = whole_steps(validation_steps, "validation_steps")
    with ExitStack() as opened:
        training = opened.enter_context(
            _feeding(model, generator, making, steps, "steps_per_epoch", class_weight)
        )
        if validate:
            validation_data = opened.enter_context(
                _feeding(
                    model, validation_data, making.for_validation(), val_steps, "validation_steps"
                )
            )
        return model.fit(
            training,
            epochs=epochs,
            verbose=verbose,
            callbacks=_with_ours(callbacks, training.source, epochs, data_wait),
            validation_data=validation_data,
            validation_batch_size=loader_options.get("batch_size"),
            validation_steps=val_steps,
            validation_freq=validation_freq,
            initial_epoch=initial_epoch,
            steps_per_epoch=steps,
        )


def evaluate_generator(
    model: Any,
    generator: Any,
    steps: float | None = None,
    callbacks: Sequence[Any] | None = None,
    max_queue_size: int = 10,
    workers: int = 1,
    use_multiprocessing: bool = False,
    verbose: int | str = 0,
    **loader_options: Any,
) -> Any:
    """Evaluate `model` on the batches of `generator`, made ahead by workers.

    Parameters
    ----------
    model : keras.Model
        Compiled.
    generator : object
        As for `fit_generator`.
    steps : int, optional
        Batches to evaluate on; needed where the source has no length.
    callbacks, verbose
        As in ``model.evaluate``.
    max_queue_size, workers, use_multiprocessing, **loader_options
        As for `fit_generator`.

    Returns
    -------
    float or list of float
        The loss, or the loss and the metrics, as ``model.evaluate`` returns them.

    Raises
    ------
    ArgumentError, SourceError, UnsupportedHost
        As for `fit_generator`.
    """
    making = LoaderArguments(max_queue_size, workers, use_multiprocessing, False, loader_options)
    with _feeding_once(model, generator, making, steps) as (data, whole):
        return model.evaluate(data, steps=whole, callbacks=callbacks, verbose=verbose)


def predict_generator(
    model: Any,
    generator: Any,
    steps: float | None = None,
    callbacks: Sequence[Any] | None = None,
    max_queue_size: int = 10,
    workers: int = 1,
    use_multiprocessing: bool = False,
    verbose: int | str = 0,
    **loader_options: Any,
) -> Any:
    """Return the predictions of `model` for the batches of `generator`, in their order.

    Parameters
    ----------
    model : keras.Model
    generator : object
        As for `fit_generator`; of ``(x, y)`` only x is used.
    steps : int, optional
        Batches to predict; needed where the source has no length.
    callbacks, verbose
        As in ``model.predict``.
    max_queue_size, workers, use_multiprocessing, **loader_options
        As for `fit_generator`, but `shuffle` and ``ordered=False`` are refused.

    Returns
    -------
    numpy.ndarray or a tree of them
        One row a sample, as ``model.predict`` returns them.

    Raises
    ------
    ArgumentError, SourceError, UnsupportedHost
        As for `fit_generator`.
    """
    for name, kept in (("shuffle", False), ("ordered", True)):
        if loader_options.get(name, kept) != kept:
            raise ArgumentError(
                "Predictions come back in the order of the source, so the batches must too; leave "
                f"{name} out.",
                f"{name}={loader_options[name]!r}",
            )
    making = LoaderArguments(max_queue_size, workers, use_multiprocessing, False, loader_options)
    with _feeding_once(model, generator, making, steps) as (data, whole):
        return model.predict(data, steps=whole, callbacks=callbacks, verbose=verbose)


# -- from a source to what Keras takes ---------------------------------------------------------


@contextmanager
def _feeding(
    model: Any,
    source: Any,
    making: LoaderArguments,
    steps: int | None,
    steps_name: str,
    class_weight: Mapping[int, float] | None = None,
) -> Iterator[Any]:
    """Give the adapter for a source; at the end close its pass, and the Loader if it is ours."""
    with ExitStack() as opened:
        loader = source
        if not isinstance(source, Loader):
            options = making.for_source(source)
            loader = opened.enter_context(Loader(source, framework=host.backend(), **options))
        require_steps(steps, steps_name, loader, source)
        data = adapter(loader, class_weight, model)
        opened.callback(data.close)
        yield data


@contextmanager
def _feeding_once(
    model: Any, source: Any, making: LoaderArguments, steps: float | None
) -> Iterator[tuple[Any, int | None]]:
    """Give the adapter and the number of steps for one evaluation or prediction."""
    host.check_model(model)
    if isinstance(source, Loader):
        making.refuse_unless(LoaderArguments(shuffle=False))
    whole = whole_steps(steps, "steps")
    with _feeding(model, source, making, whole, "steps") as data:
        yield data, whole


def _is_source(data: Any) -> bool:
    """Tell whether validation data is fed by a Loader. Arrays and data sets are left to Keras."""
    if isinstance(data, (tuple, list, dict)) or hasattr(data, "dtype"):
        return False
    return isinstance(data, (Loader, Iterator)) or hasattr(data, "__getitem__") or callable(data)


def _with_ours(callbacks: Any, source: Epochs, epochs: int, data_wait: bool) -> list[Any]:
    """Add our callbacks to the user's: to be read by them, the waiting is logged before them."""
    import keras

    all_: list[Any] = keras.tree.flatten(callbacks or [])
    if data_wait:
        all_.insert(0, data_wait_callback(source, keras.callbacks.Callback))
    if source.batches_per_epoch is None:
        all_.append(_end_of_data(source, epochs))
    return all_


def _end_of_data(source: Epochs, epochs: int) -> Any:
    """Make a callback that ends the training before an epoch for which no data is left.

    Keras itself would go on, and log a loss of 0 for an epoch without a step.
    """
    import keras

    class EndOfData(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if epoch + 1 < epochs and not self.model.stop_training and not source.has_next():
                warnings.warn(
                    f"The source is used up: training ends after {epoch + 1} of {epochs} epochs.",
                    stacklevel=2,
                )
                self.model.stop_training = True

    return EndOfData()
