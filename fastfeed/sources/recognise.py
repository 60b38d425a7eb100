"""Decides what kind of source a user's object is, and where it can run."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fastfeed.errors import ArgumentError, SourceError
from fastfeed.sources.arrays import ArraySource, is_array_tree
from fastfeed.sources.base import Source
from fastfeed.sources.images import ImageSource, is_image_iterator
from fastfeed.sources.indexable import BatchSource, FillSource
from fastfeed.sources.samples import SampleSource
from fastfeed.sources.streams import (
    GeneratorSource,
    IteratorSource,
    require_callable_without_arguments,
)

DEFAULT_WORKERS = 4


@dataclass(frozen=True)
class Options:
    """What the user asked for, as far as it concerns the source. None: not asked."""

    batch_size: int | None
    workers: int | None
    use_multiprocessing: bool | None
    shuffle: bool
    seed: int
    drop_last: bool


@dataclass(frozen=True)
class Plan:
    """A source and where it is to run: in `workers` processes, in threads, or (0) in the caller."""

    source: Source
    workers: int
    processes: bool
    shuffle_batches: bool = False


def plan(source: Any, options: Options) -> Plan:
    """Wrap a user's object.

    Raises
    ------
    SourceError
        If it is nothing that can be fed.
    ArgumentError
        If the options do not go with this kind of source.
    """
    if is_array_tree(source):
        return plan_arrays(source, options)
    if options.drop_last and options.batch_size is None:
        raise ArgumentError(
            "drop_last leaves out a last batch with fewer than batch_size samples, so it needs "
            "batch_size. Without that the source's items are batches already.",
            "drop_last=True, batch_size=None",
        )
    if isinstance(source, (str, bytes, dict)):
        raise SourceError(f"A {type(source).__name__} is no source. {ACCEPTED}")
    if is_image_iterator(source):
        return plan_images(source, options)
    if is_indexable(source):
        if isinstance(source, type):
            name = source.__name__
            raise SourceError(f"{name} is a class: make an object of it, {name}(...).")
        return plan_indexable(source, options)
    if isinstance(source, Iterator):
        return plan_iterator(source, options)
    if callable(source):
        require_callable_without_arguments(source)
        return plan_generator(source, options)
    if hasattr(source, "__iter__"):
        return plan_generator(functools.partial(iter, source), options)
    raise SourceError(f"{ACCEPTED} Received: {type(source).__name__}")


def is_indexable(source: Any) -> bool:
    """Tell whether any item of the source can be asked for, so that it can be shuffled."""
    return hasattr(source, "__len__") and (
        hasattr(source, "__getitem__") or hasattr(source, "fill")
    )


ACCEPTED = (
    "A source is an object with __len__ and __getitem__ (a Keras Sequence, a torch dataset, a "
    "list), an array or a tuple or dict of arrays, a generator function, or an iterator."
)


def plan_arrays(source: Any, options: Options) -> Plan:
    """Plan for arrays: gathered by threads, because the gather needs no GIL."""
    if options.batch_size is None:
        raise ArgumentError(
            "An array's rows are samples: say how many make a batch, for example batch_size=32.",
            "batch_size=None",
        )
    wrapped = ArraySource(
        source,
        options.batch_size,
        shuffle=options.shuffle,
        seed=options.seed,
        drop_last=options.drop_last,
    )
    return Plan(wrapped, 1 if options.workers is None else options.workers, processes=False)


def plan_indexable(source: Any, options: Options) -> Plan:
    """Plan for what can be asked for any item: any number of processes."""
    wrapped: Source
    if options.batch_size is not None:
        wrapped = SampleSource(
            source,
            options.batch_size,
            shuffle=options.shuffle,
            seed=options.seed,
            drop_last=options.drop_last,
        )
    else:
        wrapped = FillSource(source) if hasattr(source, "fill") else BatchSource(source)
    workers = DEFAULT_WORKERS if options.workers is None else options.workers
    shuffle_batches = options.shuffle and options.batch_size is None
    return Plan(wrapped, workers, options.use_multiprocessing is not False, shuffle_batches)


def plan_images(source: Any, options: Options) -> Plan:
    """Plan for what ``ImageDataGenerator.flow`` returned: any number of processes."""
    if options.batch_size is not None:
        raise ArgumentError(
            f"A {type(source).__name__} makes whole batches; leave batch_size out here, and give "
            f"it to flow(...), flow_from_directory(...) or flow_from_dataframe(...).",
            f"batch_size={options.batch_size}",
        )
    workers = DEFAULT_WORKERS if options.workers is None else options.workers
    processes = options.use_multiprocessing is not False
    return Plan(ImageSource(source, options.seed), workers, processes, options.shuffle)


def plan_generator(function: Any, options: Options) -> Plan:
    """Plan for a generator function: a process a shard, or one."""
    refuse_shuffle(options)
    asked = DEFAULT_WORKERS if options.workers is None else options.workers
    wrapped = GeneratorSource(function, asked, options.batch_size, options.drop_last)
    workers = min(asked, wrapped.shards or 1)
    return Plan(wrapped, workers, options.use_multiprocessing is not False)


def plan_iterator(source: Iterator[Any], options: Options) -> Plan:
    """Plan for an iterator: one thread, because it lives in this process and moves one way."""
    refuse_shuffle(options)
    if options.use_multiprocessing:
        raise ArgumentError(
            f"A {type(source).__name__} lives in this process and gives its items one after the "
            "other, so worker processes cannot share it: each would give everything again, or "
            "nothing. Pass the generator function itself (without calling it; with the parameters "
            "shard and num_shards it is divided among the workers), pass an object with __len__ "
            "and __getitem__, or leave out use_multiprocessing.",
            f"use_multiprocessing=True, workers={options.workers}",
        )
    wrapped = IteratorSource(source, options.batch_size, options.drop_last)
    workers = 1 if options.workers is None else min(1, options.workers)
    return Plan(wrapped, workers, processes=False)


def refuse_shuffle(options: Options) -> None:
    """Refuse to shuffle what comes in one order only."""
    if options.shuffle:
        raise ArgumentError(
            "A stream of items cannot be shuffled, because its items come in one order. Shuffle "
            "inside the generator, or pass an object with __len__ and __getitem__.",
            "shuffle=True",
        )
