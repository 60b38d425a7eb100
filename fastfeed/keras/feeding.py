"""From a source to what a model's own ``fit``, ``evaluate`` and ``predict`` take.

What Keras reads well by itself is left to it. Everything else goes through a `Loader`: to Keras 3
as a data adapter, to ``tf_keras`` as a data set.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from fastfeed.errors import ArgumentError
from fastfeed.keras import host, legacy
from fastfeed.keras.adapter import adapter
from fastfeed.keras.arguments import LoaderArguments, require_steps, whole_steps
from fastfeed.keras.epochs import Epochs
from fastfeed.keras.names import Samples
from fastfeed.loader import Loader
from fastfeed.sources.rows import RowReader
from fastfeed.structure import describe, leaves

ClassWeight = Mapping[int, float]


@dataclass(frozen=True)
class Fed:
    """What to call the model's own function with.

    Attributes
    ----------
    data : object
        Its ``x``, or ``validation_data``.
    steps : int or None
        Batches an epoch; None: as many as there are.
    class_weight : mapping or None
        For Keras to apply, where it reads the data by itself.
    source : Epochs or None
        What gives the batches; None where Keras reads the data by itself.
    """

    data: Any
    steps: int | None = None
    class_weight: ClassWeight | None = None
    source: Epochs | None = None


def check_model(model: Any) -> None:
    """Raise unless this model can be fed.

    Raises
    ------
    ArgumentError, UnsupportedHost
        As `host.check_model`, for anything but a model of ``tf_keras``.
    """
    if not legacy.is_model(model):
        host.check_model(model)


def callback_class(model: Any) -> Any:
    """Return the base class of the callbacks that a model takes."""
    if legacy.is_model(model):
        return legacy.callback_class()
    import keras

    return keras.callbacks.Callback


@contextmanager
def feeding(
    model: Any,
    source: Any,
    making: LoaderArguments,
    steps: float | Samples | None,
    steps_name: str,
    class_weight: ClassWeight | None = None,
) -> Iterator[Fed]:
    """Give the data for one call; at the end close its pass, and the Loader if it is ours.

    Raises
    ------
    ArgumentError
        An argument is missing or has no effect.
    """
    asked = whole_steps(steps, steps_name)
    if is_read_by_keras(source, model):
        yield Fed(source, counted(asked), class_weight)
        return
    with ExitStack() as opened:
        loader = source
        if not isinstance(source, Loader):
            framework = "numpy" if legacy.is_model(model) else host.backend()
            options = making.for_source(source)
            if legacy.is_model(model):
                legacy.refuse_device(options)
            loader = opened.enter_context(Loader(source, framework=framework, **options))
            if loader.batches_per_epoch is None:
                asked = asked or length_of_iterable(source)
        require_steps(asked, steps_name, loader, source)
        if legacy.is_model(model):
            data, read = opened.enter_context(legacy.reading(model, loader, class_weight))
        else:
            data = adapter(loader, class_weight, model)
            opened.callback(data.close)
            read = data.source
        yield Fed(data, counted(asked, source, making, read), source=read)


@contextmanager
def feeding_validation(
    model: Any, data: Any, making: LoaderArguments, steps: float | Samples | None
) -> Iterator[Fed]:
    """Give the validation data for one training. Arrays are left to Keras."""
    if is_source(data):
        with feeding(model, data, making.for_validation(), steps, "validation_steps") as fed:
            yield fed
    else:
        yield Fed(data, counted(whole_steps(steps, "validation_steps")))


def is_source(data: Any) -> bool:
    """Tell whether validation data is no arrays, which Keras takes as they are."""
    if isinstance(data, (tuple, list, dict)) or hasattr(data, "__array__"):
        return False
    is_one = isinstance(data, (Loader, Iterator, RowReader)) or callable(data)
    return is_one or hasattr(data, "__getitem__") or hasattr(data, "__iter__")


def is_read_by_keras(source: Any, model: Any) -> bool:
    """Tell whether this is a ``tf.data.Dataset`` or a PyTorch ``DataLoader``.

    They have workers of their own. The names are those by which Keras 3 finds out;
    ``tf_keras`` knows no DataLoader.
    """
    names = [(cls.__module__, cls.__name__) for cls in type(source).__mro__]
    is_dataset = any(m.startswith("tensorflow.") and n == "DatasetV2" for m, n in names)
    is_loader = any(m.startswith("torch.utils.data") and n == "DataLoader" for m, n in names)
    return is_dataset or (is_loader and not legacy.is_model(model))


def length_of_iterable(source: Any) -> int | None:
    """Return the length of what can be iterated again and again, and not indexed."""
    if isinstance(source, Iterator) or not hasattr(source, "__len__"):
        return None
    try:
        return len(source)
    except TypeError:  # a DataLoader over a stream
        return None


def refuse_idle_options(
    model: Any, making: LoaderArguments, defaults: LoaderArguments, *sources: Any
) -> None:
    """Raise where there are options for making batches, but no Loader is made of any source.

    Raises
    ------
    ArgumentError
        They would have no effect.
    """
    left = [data for data in sources if isinstance(data, Loader) or is_read_by_keras(data, model)]
    if len(left) < len(sources):
        return
    if isinstance(left[0], Loader):
        making.refuse_unless(
            defaults,
            "The Loader is made already, so options for making one have no effect. Give them to "
            "fastfeed.Loader(...) instead.",
        )
    making.refuse_unless(
        replace(defaults, shuffle=making.shuffle),  # as with a generator, it says nothing
        f"A {type(left[0]).__name__} makes its batches by itself, and Keras reads it as it is, so "
        "options for making batches have no effect. Set them where it is made.",
    )


# -- from samples to steps ---------------------------------------------------------------------


def counted(
    steps: int | Samples | None,
    source: Any = None,
    making: LoaderArguments | None = None,
    read: Epochs | None = None,
) -> int | None:
    """Return a number of steps, worked out from the size of a batch where samples are counted.

    Raises
    ------
    ArgumentError
        It cannot be seen how many samples a batch has.
    """
    if not isinstance(steps, Samples):
        return steps
    if read is None or making is None:
        raise ArgumentError(
            f"{steps.name} counts samples, and this data is left to Keras, so the size of its "
            "batches is not known here. Give the number of batches by Keras 2's name.",
            f"{steps.name}={steps.number}",
        )
    return steps.in_batches(batch_size_of(source, making, read))


def batch_size_of(source: Any, making: LoaderArguments, read: Epochs) -> int:
    """Return the rows of a full batch: as the call or the source says, or as the first ones have.

    Raises
    ------
    ArgumentError
        They have no rows.
    """
    said: list[Any] = [making.others.get("batch_size"), getattr(source, "batch_size", None)]
    for size in said:
        if hasattr(size, "__index__") and size > 0:
            return operator.index(size)
    # Of a shuffled source the last batch may come first, and be a short one.
    first = read.peek(min(2, read.batches_per_epoch or 1))
    shapes = [tuple(getattr(leaf, "shape", ())) for leaf in leaves(first)]
    rows = max((shape[0] for shape in shapes if shape), default=0)
    if not rows:
        raise ArgumentError(
            "It cannot be seen how many samples a batch has. Give the number of batches by Keras "
            "2's name.",
            describe(first[0]),
        )
    return int(rows)
