"""Keras 2's names for how batches are made, turned into options of the Loader.

The arguments that say how to train (`epochs`, `callbacks` and so on) have the same names in
Keras 3 and are handed on by fit.py. These four are gone there, and belong to the Loader now. A
`PyDataset` of Keras 3 has three of them itself.
"""

from __future__ import annotations

import difflib
import inspect
import math
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from numbers import Real
from typing import Any, Literal

from fastfeed.errors import ArgumentError
from fastfeed.keras.names import KERAS_2_NAMES, Samples
from fastfeed.loader import Loader
from fastfeed.recognise import is_indexable

Auto = Literal["auto"]
OF_A_PYDATASET = ("max_queue_size", "workers", "use_multiprocessing")


@dataclass(frozen=True)
class LoaderArguments:
    """What a call of ``fit_generator`` and its kin says about the making of batches.

    Parameters
    ----------
    max_queue_size, workers, use_multiprocessing, shuffle
        As in Keras 2, with its defaults.
    others : mapping of str to object
        Further options of the Loader.

    Raises
    ------
    ArgumentError
        One of `others` is no option of the Loader, or not the caller's to choose.
    """

    max_queue_size: int | Auto = 10
    workers: int | Auto = 1
    use_multiprocessing: bool = False
    shuffle: bool = True
    others: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.others:
            if name == "framework":
                raise ArgumentError(
                    "The framework follows Keras's backend; leave it out.",
                    f"framework={self.others[name]!r}",
                )
            if name not in loader_options():
                raise unknown(name, self.others[name])

    def for_source(self, source: Any) -> dict[str, Any]:
        """Return the options of a Loader for `source`.

        As in Keras 2, ``shuffle`` says nothing about a source that has one order only, and a
        generator object with one worker may be asked for with ``use_multiprocessing=True``. What
        a PyDataset says itself counts where the call leaves Keras 2's default.
        """
        options: dict[str, Any] = {
            "max_queue_size": self.max_queue_size,
            "workers": self.workers,
            "use_multiprocessing": self.use_multiprocessing,
            "shuffle": self.shuffle and is_indexable(source),
            **self.others,
        }
        for name, own in options_of_a_pydataset(source).items():
            if options[name] == getattr(LoaderArguments, name):
                options[name] = own
        one = self.workers in (0, 1, "auto")
        alone = one and isinstance(source, Iterator) and not is_indexable(source)
        if alone and self.use_multiprocessing:
            warnings.warn(
                f"A {type(source).__name__} cannot be sent to a worker process; it runs in a "
                "thread of this one. Pass the generator function itself (without calling it) to "
                "have it run in a process.",
                stacklevel=2,
            )
            options["use_multiprocessing"] = False
        return options

    def for_validation(self) -> LoaderArguments:
        """Return the same for validation data: every batch, in its own order."""
        return replace(self, shuffle=False, others={**self.others, "drop_last": False})

    def refuse_unless(self, defaults: LoaderArguments, why: str) -> None:
        """Raise where an argument differs from `defaults`: no Loader is to be made.

        Raises
        ------
        ArgumentError
            The argument would have no effect, and `why`.
        """
        for entry in fields(self):
            asked = getattr(self, entry.name)
            if asked != getattr(defaults, entry.name):
                shown = dict(asked) if entry.name == "others" else f"{entry.name}={asked!r}"
                raise ArgumentError(why, shown)


@cache
def loader_options() -> frozenset[str]:
    """Return the names that `Loader` takes, without those that are settled here."""
    names = set(inspect.signature(Loader).parameters)
    return frozenset(names - {"source", "framework"})


def unknown(name: str, value: Any) -> ArgumentError:
    """Say that there is no such argument, and which one may have been meant."""
    options = sorted(loader_options())
    near = difflib.get_close_matches(name, {*options, *KERAS_2_NAMES.values()}, n=1)
    hint = f"Did you mean {near[0]}? " if near else ""
    return ArgumentError(
        f"There is no argument {name!r}. {hint}Besides those of Keras 2 there are the options of "
        f"fastfeed.Loader: {', '.join(options)}.",
        f"{name}={value!r}",
    )


def options_of_a_pydataset(source: Any) -> dict[str, Any]:
    """Return what a PyDataset of Keras 3 was made with; of anything else, nothing."""
    if not any(
        cls.__name__ == "PyDataset" and cls.__module__.startswith("keras.")
        for cls in type(source).__mro__
    ):
        return {}
    with warnings.catch_warnings():
        # Keras warns where super().__init__() was not called: a Sequence of Keras 2 had none.
        warnings.simplefilter("ignore")
        return {name: getattr(source, name) for name in OF_A_PYDATASET}


def whole_steps(steps: Any, name: str) -> int | Samples | None:
    """Return a number of steps as int, rounded up: Keras 2 took ``len(files) / batch_size`` too.

    A number of samples stays what it is until the size of a batch is known.

    Raises
    ------
    ArgumentError
        `steps` is not a number greater than 0.
    """
    if steps is None or isinstance(steps, Samples):
        return steps
    number = isinstance(steps, Real) and not isinstance(steps, bool)
    if not number or not 0 < steps < math.inf:
        raise ArgumentError(f"{name} must be a number of batches, 1 or more.", f"{name}={steps!r}")
    whole: int = math.ceil(steps)
    return whole


def require_steps(steps: int | Samples | None, name: str, loader: Loader, source: Any) -> None:
    """Raise unless it is known where an epoch ends.

    Raises
    ------
    ArgumentError
        The source has no length, and `steps` is None.
    """
    if steps is None and loader.batches_per_epoch is None:
        raise ArgumentError(
            f"{name} is missing. A {type(source).__name__} does not say how many batches it has "
            f"(it may go on for ever), so say how many make an epoch: {name}=100, for example. Or "
            "pass an object with __len__ and __getitem__, such as a keras.utils.Sequence.",
            f"{name}=None",
        )
