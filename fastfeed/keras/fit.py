"""``fit_generator``, ``evaluate_generator`` and ``predict_generator``, as they were in Keras 2.

Each makes a `Loader` of the source, hands it to the model's own ``fit``, ``evaluate`` or
``predict``, and closes it again however that ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from fastfeed.errors import ArgumentError, FastFeedError
from fastfeed.keras import legacy
from fastfeed.keras.arguments import Auto, LoaderArguments
from fastfeed.keras.callbacks import with_ours
from fastfeed.keras.feeding import (
    Fed,
    callback_class,
    check_model,
    feeding,
    feeding_validation,
    is_source,
    refuse_idle_options,
)
from fastfeed.keras.names import takes_keras_1_names


@takes_keras_1_names
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
    max_queue_size: int | Auto = 10,
    workers: int | Auto = 1,
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
        a Loader of its own with the same options, unshuffled, `device_transform` among them: give
        a Loader with another one where that crops or flips at random.
    validation_steps : int, optional
        Batches of one validation.
    class_weight : mapping of int to float, optional
        Weight of each class; multiplied with a sample_weight of the batch.
    max_queue_size : int or "auto"
        Batches that may be ready or in the making ahead of the training step. ``"auto"``: as many
        as are needed, found while it trains.
    workers : int or "auto"
        Threads or processes that make batches; 0: the calling thread does. ``"auto"``: as above.
    use_multiprocessing : bool
        Processes, not threads.
    shuffle : bool
        Mix the order of the batches (of the samples, with `batch_size`) of an indexable source
        anew each epoch. Other sources have one order only.
    data_wait : bool
        Log as ``data_wait``, for the progress bar, the History and other callbacks, the share of
        each epoch's time (of its steps so far) that training spent waiting for data.
    **loader_options
        Further options of `Loader`, such as `batch_size`, `seed` or ``device="cuda"``: then batches
        are brought to the GPU that Keras computes on, while the step before runs.

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
    check_model(model)
    making = LoaderArguments(max_queue_size, workers, use_multiprocessing, shuffle, loader_options)
    fed_too = [validation_data] if is_source(validation_data) else []
    refuse_idle_options(model, making, LoaderArguments(), generator, *fed_too)
    with ExitStack() as opened:
        training = opened.enter_context(
            feeding(model, generator, making, steps_per_epoch, "steps_per_epoch", class_weight)
        )
        try:
            validation = opened.enter_context(
                feeding_validation(model, validation_data, making, validation_steps)
            )
        except FastFeedError as error:
            error.add_note("This is about validation_data.")
            raise
        # Of arrays that Keras divides itself; a Loader's batches are made already.
        batch_size = loader_options.get("batch_size") if validation.source is None else None
        calls = with_ours(callbacks, callback_class(model), training.source, epochs, data_wait)
        if data_wait and verbose and legacy.is_model(model):
            calls = legacy.with_progress_bar(calls)
        return model.fit(
            training.data,
            epochs=epochs,
            verbose=verbose,
            callbacks=calls,
            validation_data=validation.data,
            validation_batch_size=batch_size,
            validation_steps=validation.steps,
            validation_freq=validation_freq,
            class_weight=training.class_weight,
            initial_epoch=initial_epoch,
            shuffle=False,  # done by the Loader; a data set has its own order
            steps_per_epoch=training.steps,
        )


@takes_keras_1_names
def evaluate_generator(
    model: Any,
    generator: Any,
    steps: float | None = None,
    callbacks: Sequence[Any] | None = None,
    max_queue_size: int | Auto = 10,
    workers: int | Auto = 1,
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
    with _feeding_once(model, generator, making, steps) as fed:
        return model.evaluate(fed.data, steps=fed.steps, callbacks=callbacks, verbose=verbose)


@takes_keras_1_names
def predict_generator(
    model: Any,
    generator: Any,
    steps: float | None = None,
    callbacks: Sequence[Any] | None = None,
    max_queue_size: int | Auto = 10,
    workers: int | Auto = 1,
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
    with _feeding_once(model, generator, making, steps) as fed:
        return model.predict(fed.data, steps=fed.steps, callbacks=callbacks, verbose=verbose)


@contextmanager
def _feeding_once(
    model: Any, source: Any, making: LoaderArguments, steps: float | None
) -> Iterator[Fed]:
    """Give the data for one evaluation or prediction."""
    check_model(model)
    refuse_idle_options(model, making, LoaderArguments(shuffle=False), source)
    with feeding(model, source, making, steps, "steps") as fed:
        yield fed
