"""The function ``fastfeed.tune``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastfeed.errors import ArgumentError
from fastfeed.machine.limits import default_memory_bytes, usable_cores
from fastfeed.tuning.consumer import Step
from fastfeed.tuning.feeding import Feeding
from fastfeed.tuning.result import TuneResult
from fastfeed.tuning.run import Tuning, Watcher

BUDGET_SECONDS = 60.0
LEAST_SECONDS = 1.0
MOST_SECONDS = 86400.0
MOST_RANKS = 64


class Silent:
    """Tells nobody."""

    def begin(self, what: str) -> None:
        """Do nothing."""

    def found(self, what: str) -> None:
        """Do nothing."""


def tune(
    source: Any,
    step: Callable[[Any], object] | float | None = None,
    *,
    batch_size: int | None = None,
    budget_seconds: float = BUDGET_SECONDS,
    memory_bytes: int | None = None,
    ranks: int = 1,
    threads: bool = False,
    name: str | None = None,
    watcher: Watcher | None = None,
    **loader_options: Any,
) -> TuneResult:
    """Find how many workers and how long a queue a source and a training step need.

    Measures the step alone, workers alone with more and more of them, and both together with the
    answer and its neighbours in turn. What a real `Loader` does is measured, in real workers.

    Parameters
    ----------
    source : object
        What a `Loader` takes, except an iterator, which serves only one pass.
    step : callable or float, optional
        The training step, called with one batch; on a GPU it has to wait for its result. Or how
        many seconds it takes. Without it workers are added as long as they make more.
    batch_size : int, optional
        Samples a batch, as the loader's.
    budget_seconds : float
        At least 1. After so long there is an answer, whatever the source does; except that only
        the main thread can be interrupted within a batch or a step.
    memory_bytes : int, optional
        What slots may take. Default: 2 GiB, or 10 % of the machine's or container's memory where
        that is less. While it compares, three loaders are there at the same time.
    ranks : int
        Training processes that share this machine; the answer is for one of them.
    threads : bool
        Workers are threads.
    name : str, optional
        What the result calls the source. Default: its type.
    watcher : Watcher, optional
        Is told what is measured.
    **loader_options
        More arguments of the loader: ``framework``, ``device`` and others of it, ``shuffle``,
        ``seed``, ``worker_env``.

    Returns
    -------
    TuneResult
        Also when the time was not enough, at Ctrl-C, and when the source or the step failed: then
        `TuneResult.ended` and `TuneResult.error` say so, and the answer is from what was measured
        before.

    Raises
    ------
    ArgumentError
        An argument is out of range, or the source is an iterator.
    SourceError
        The source is none, or has no batches.

    Examples
    --------
    >>> import time, numpy as np, fastfeed
    >>> class Slow:
    ...     def __len__(self): return 100
    ...     def __getitem__(self, index):
    ...         time.sleep(0.01)
    ...         return np.zeros((32, 8))
    >>> result = fastfeed.tune(Slow(), 0.004, budget_seconds=5)  # doctest: +SKIP
    >>> result.arguments  # doctest: +SKIP
    'workers=4, max_queue_size=6'
    """
    _check("budget_seconds", budget_seconds, LEAST_SECONDS, MOST_SECONDS)
    _check("ranks", ranks, 1, MOST_RANKS)
    if memory_bytes is None:
        memory_bytes = default_memory_bytes()
    _check("memory_bytes", memory_bytes, 1, 2**62)
    if step is not None and not callable(step):
        _check("step", step, 0, MOST_SECONDS)
    if batch_size is not None:
        _check("batch_size", batch_size, 1, 2**31)
    feeding = Feeding(source, int(memory_bytes), batch_size, threads, int(ranks), loader_options)
    tuning = Tuning(
        feeding,
        None if step is None else Step(step),
        usable_cores(),
        float(budget_seconds),
        watcher or Silent(),
    )
    return tuning.run(name or type(source).__name__)


def _check(name: str, value: Any, least: float, most: float) -> None:
    """Refuse what is no number in this range."""
    try:
        good = not isinstance(value, bool) and least <= value <= most
    except TypeError:
        good = False
    if not good:
        raise ArgumentError(f"{name} must be a number from {least:g} to {most:g}.", f"{value!r}")
