"""Decides what kind of source a user's object is, and where it can run."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastfeed.errors import ArgumentError, SourceError
from fastfeed.files.recognise import reader_of
from fastfeed.order import ALONE, EpochOrder, Shard, Uneven
from fastfeed.sources.arrays import ArraySource, common_length, contiguous, is_array_tree
from fastfeed.sources.base import Source
from fastfeed.sources.cached import PreparedSamples, cache_of, sample_source, with_cache
from fastfeed.sources.images import ImageSource, is_image_iterator
from fastfeed.sources.indexable import BatchSource, FillSource, length_of
from fastfeed.sources.light import LocalShelf, SharedShelf
from fastfeed.sources.mapped import MappedGenerator, MappedIterator, MappedSource, Share
from fastfeed.sources.rows import RowReader, RowSource
from fastfeed.sources.streams import (
    GeneratorSource,
    IteratorSource,
    is_divisible,
    require_callable_without_arguments,
)

DEFAULT_WORKERS = 4


@dataclass(frozen=True)
class Options:
    """What the user asked for, as far as it concerns the source. None: not asked."""

    batch_size: int | None = None
    workers: int | None = None
    use_multiprocessing: bool | None = None
    shuffle: bool = False
    seed: int = 0
    drop_last: bool = False
    shard: Shard = ALONE
    uneven: Uneven | None = None
    cache: str | None = None
    cache_budget: int | None = None
    transform: Callable[[Any, np.random.Generator], Any] | None = None

    @property
    def worker_count(self) -> int:
        """The workers that were asked for, or as many as is usual."""
        return DEFAULT_WORKERS if self.workers is None else self.workers

    @property
    def processes(self) -> bool:
        """Workers are processes, where the source can be sent to them."""
        return self.use_multiprocessing is not False


@dataclass(frozen=True)
class Plan:
    """A source and where it is to run: in `workers` processes, in threads, or (0) in the caller.

    Attributes
    ----------
    order : EpochOrder or None
        Which item comes when; None where nobody knows how many there are.
    seed : int
        The source's own, or else the loader's.
    """

    source: Source
    workers: int
    processes: bool
    order: EpochOrder | None = None
    seed: int = 0


def plan(source: Any, options: Options) -> Plan:
    """Wrap a user's object.

    Raises
    ------
    SourceError
        If it is nothing that can be fed.
    ArgumentError
        If the options do not go with this kind of source.
    """
    made = plan_of_kind(source, options)
    if options.transform is not None and not isinstance(made.source, PreparedSamples):
        raise no_samples("transform", "changes samples", source, "transform=...")
    if options.cache is not None and not isinstance(made.source, (PreparedSamples, RowSource)):
        raise no_samples("cache", "keeps samples", source, f"cache={options.cache!r}")
    if options.cache is None and options.cache_budget is not None:
        raise ArgumentError(
            'cache_budget is for a cache: cache="memory" or "disk:FOLDER".',
            f"cache=None, cache_budget={options.cache_budget}",
        )
    return made


def no_samples(name: str, does: str, source: Any, received: str) -> ArgumentError:
    """Return the error for an option of samples with a source of something else."""
    return ArgumentError(
        f"{name} {does}, so it needs batch_size and a source with __len__ and __getitem__ whose "
        "items are samples; a cache also takes readers of files and images. Arrays are in memory "
        "already; batches and streams are changed and kept by their own code.",
        f"{type(source).__name__}, {received}",
    )


def plan_of_kind(source: Any, options: Options) -> Plan:
    """Plan for whatever kind of source it is.

    Raises
    ------
    SourceError
        If it is nothing that can be fed.
    ArgumentError
        If the options do not go with this kind of source.
    """
    found = reader_of(source)
    if found is not None:
        source = found
    if is_array_tree(source):
        return plan_arrays(source, options)
    if isinstance(source, RowReader):
        return plan_reader(source, options)
    if options.drop_last and options.batch_size is None:
        raise ArgumentError(
            "drop_last leaves out a last batch with fewer than batch_size samples, so it needs "
            "batch_size. Without that the source's items are batches already.",
            "drop_last=True, batch_size=None",
        )
    if isinstance(source, MappedGenerator):
        return plan_mapped(source, options)
    if isinstance(source, (str, bytes, dict)):
        raise SourceError(f"{ACCEPTED} Received: {looks_of(source)}")
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
    raise SourceError(f"{ACCEPTED} Received: {looks_of(source)}")


def is_indexable(source: Any) -> bool:
    """Tell whether any item of the source can be asked for, so that it can be shuffled."""
    return hasattr(source, "__len__") and (
        hasattr(source, "__getitem__") or hasattr(source, "fill")
    )


ACCEPTED = (
    "A source is an object with __len__ and __getitem__ (a Keras Sequence, a torch dataset, a "
    "list), an array or a tuple or dict of arrays, a generator function, an iterator, or what "
    "fastfeed.images, fastfeed.files and fastfeed.generator make."
)


def looks_of(source: Any) -> str:
    """Name the type of what is no source, and what it lacks or holds, as far as that is a hint."""
    name = type(source).__name__
    if isinstance(source, dict):
        held = sorted({type(value).__name__ for value in source.values()})
        return f"a dict of {', '.join(held) or 'nothing'}"
    lacking = [method for method in ("__len__", "__getitem__") if not hasattr(source, method)]
    return f"{name}, which has no {lacking[0]}" if len(lacking) == 1 else name


def order_of(length: int, rows: int | None, options: Options) -> EpochOrder:
    """Return the order of a source of `length` samples, of which `rows` make a batch, or of
    `length` batches.

    Raises
    ------
    ArgumentError
        If `uneven` is none of these, or contradicts `drop_last`.
    SourceError
        If it leaves no batch.
    """
    if options.uneven not in (None, "drop", "pad", "short"):
        raise ArgumentError(
            'uneven is "drop", "pad" or "short": what becomes of the items after the last step '
            "that is full on all ranks.",
            f"uneven={options.uneven!r}",
        )
    uneven = options.uneven or ("drop" if options.drop_last or options.shard.world > 1 else "short")
    if options.drop_last and uneven != "drop":
        raise ArgumentError(
            'drop_last=True leaves out what does not fill a batch, so uneven can only be "drop".',
            f'uneven="{uneven}", drop_last=True',
        )
    order = EpochOrder(
        length,
        rows,
        shuffle=options.shuffle,
        seed=options.seed,
        shard=options.shard,
        uneven=uneven,
    )
    if not order.steps():
        raise too_few(order, rows, options)
    return order


def too_few(order: EpochOrder, rows: int | None, options: Options) -> SourceError:
    """Say that there is not one step."""
    items = f"{order.length} {'batches' if rows is None else 'samples'}"
    asked = "drop_last=True" if options.drop_last else 'uneven="drop"'
    if options.shard.world == 1:
        return SourceError(
            f"{asked} leaves no batch: {items} make less than one batch of {rows}. Lower "
            f"batch_size or leave {asked} out."
        )
    each, cure = "one", ' or set uneven="pad", which repeats items'
    if rows is not None:
        each = f"a batch of {rows}"
        cure = ', lower batch_size, or set uneven="short", which makes smaller batches'
    instead = f", in place of {asked}" if options.drop_last else ""
    return SourceError(
        f"{items} are too few for {options.shard.world} ranks: there is not {each} for each. Use "
        f"fewer ranks{cure}{instead}."
    )


def plan_arrays(source: Any, options: Options) -> Plan:
    """Plan for arrays: gathered by threads, because the gather needs no GIL."""
    if options.batch_size is None:
        raise ArgumentError(
            "An array's rows are samples: say how many make a batch, for example batch_size=32.",
            "batch_size=None",
        )
    arrays = contiguous(source)
    order = order_of(common_length(arrays), options.batch_size, options)
    workers = 1 if options.workers is None else options.workers
    return Plan(ArraySource(arrays, order), workers, False, order, options.seed)


def plan_reader(reader: RowReader, options: Options) -> Plan:
    """Plan for files, images and the like: any number of processes."""
    rows = options.batch_size or reader.batch_size
    if rows is None:
        raise ArgumentError(
            f"A {type(reader).__name__} gives samples: say how many make a batch, for example "
            "batch_size=32.",
            "batch_size=None",
        )
    seed = options.seed if reader.seed is None else reader.seed
    options = replace(options, shuffle=options.shuffle or reader.shuffle, seed=seed)
    order = order_of(reader.n_samples, rows, options)
    kept = (options.cache, options.cache_budget)
    cache = cache_of(*kept, reader.n_samples, reader.kept_fingerprint)
    source = RowSource(with_cache(reader, cache) if cache else reader, order, cache)
    return Plan(source, options.worker_count, options.processes, order, seed)


def plan_indexable(source: Any, options: Options) -> Plan:
    """Plan for what can be asked for any item: any number of processes."""
    length = length_of(source)
    wrapped: Source
    order: EpochOrder | None = None
    if options.batch_size is not None and length is None:
        raise SourceError(f"{type(source).__name__} is endless; samples need a length.")
    if length is None:
        refuse_shares(source, options)
    else:
        order = order_of(length, options.batch_size, options)
    if options.batch_size is not None and order is not None:
        kept = (options.cache, options.cache_budget, options.transform)
        wrapped = sample_source(source, order, *kept)
    else:
        wrapped = FillSource(source) if hasattr(source, "fill") else BatchSource(source)
    return Plan(wrapped, options.worker_count, options.processes, order, options.seed)


def plan_images(source: Any, options: Options) -> Plan:
    """Plan for what ``ImageDataGenerator.flow`` returned: any number of processes."""
    if options.batch_size is not None:
        raise ArgumentError(
            f"A {type(source).__name__} makes whole batches; leave batch_size out here, and give "
            f"it to flow(...), flow_from_directory(...) or flow_from_dataframe(...).",
            f"batch_size={options.batch_size}",
        )
    length = length_of(source) or 0  # never endless
    order = order_of(length, None, options)
    wrapped = ImageSource(source, options.seed)
    return Plan(wrapped, options.worker_count, options.processes, order, options.seed)


def plan_generator(function: Any, options: Options) -> Plan:
    """Plan for a generator function: a process a shard, or one."""
    refuse_shuffle(options)
    refuse_shares(function, options, divisible=is_divisible(function))
    wrapped = GeneratorSource(
        function, options.worker_count, options.batch_size, options.drop_last, options.shard
    )
    workers = min(options.worker_count, wrapped.shards or 1)
    return Plan(wrapped, workers, options.processes, seed=options.seed)


def plan_mapped(source: MappedGenerator, options: Options) -> Plan:
    """Plan for a generator of light items: it stays here, and any worker makes what is heavy."""
    refuse_shuffle(options)
    refuse_shares(source, options, divisible=True)
    processes = options.processes and options.worker_count > 0
    shelf = SharedShelf() if processes else LocalShelf()
    share = Share(options.batch_size, options.drop_last, options.shard.rank, options.shard.world)
    kind = MappedIterator if isinstance(source.items, Iterator) else MappedSource
    wrapped = kind(source, shelf, options.batch_size, share)
    return Plan(wrapped, options.worker_count, processes, seed=options.seed)


def plan_iterator(source: Iterator[Any], options: Options) -> Plan:
    """Plan for an iterator: one thread, because it lives in this process and moves one way."""
    refuse_shuffle(options)
    refuse_shares(source, options)
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
    return Plan(wrapped, workers, processes=False, seed=options.seed)


def refuse_shuffle(options: Options) -> None:
    """Refuse to shuffle what comes in one order only."""
    if options.shuffle:
        raise ArgumentError(
            "A stream of items cannot be shuffled, because they come in one order. Shuffle inside "
            "the generator (tar shards: fastfeed.files.webdataset(..., shuffle=1000)), or pass an "
            "object with __len__ and __getitem__.",
            "shuffle=True",
        )


def refuse_shares(source: Any, options: Options, *, divisible: bool = False) -> None:
    """Refuse to deal out to ranks what has no order of known length, unless it is `divisible` by
    other means.
    """
    if options.uneven is not None:
        raise ArgumentError(
            "uneven is about the end of an epoch of known length, and nobody knows how many items "
            f"a {type(source).__name__} has. Leave it out.",
            f"uneven={options.uneven!r}",
        )
    if options.shard.world > 1 and not divisible:
        raise ArgumentError(
            f"A {type(source).__name__} gives its items one after the other to whoever asks, so "
            "every rank would get all of them. Pass an object with __len__ and __getitem__, a "
            "generator function with the parameters shard and num_shards, or "
            "fastfeed.generator(function, map=...), which deals its items out.",
            f"shard={options.shard.rank, options.shard.world}",
        )
