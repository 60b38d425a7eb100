"""Generator functions, iterables and iterators: streams that only move forward.

A stream cannot be asked for item 7, so nothing of it can be made again after a worker's death, and
two workers on one stream would give everything twice. A generator function that takes ``shard``
and ``num_shards`` is divided: worker k runs its own stream, and the parent takes them in turn.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterator
from typing import Any

from fastfeed.errors import SourceError, SourceExhausted, WorkerCrashed
from fastfeed.order import ALONE, Shard
from fastfeed.sources.base import EndOfItems, Item, Source, Writer, name_of, not_none
from fastfeed.sources.fingerprints import identity_of
from fastfeed.sources.samples import collate


class StreamSource(Source):
    """Makes the next batch of a stream, whatever its index.

    Parameters
    ----------
    batch_size : int or None
        None: items are batches.
    drop_last : bool
        With a batch size: leave out a last batch that is not full.
    """

    repeatable = False
    shards: int | None = 1
    undivided = True

    def __init__(self, name: str, batch_size: int | None, drop_last: bool) -> None:
        self._name = name
        self._batch_size = batch_size
        self._drop_last = drop_last

    def fingerprint(self) -> str:
        """Return what is known of a stream: its name, and how it is cut into batches."""
        size = "" if self._batch_size is None else f", batches of {self._batch_size}"
        return f"stream {self._name}{size}"

    def _write_next(self, stream: Iterator[Any], item: Item, writer: Writer) -> None:
        if self._batch_size is None:
            batch = next(stream, END)
            if batch is END:
                raise EndOfItems
            writer.write(not_none(batch, self._name, item))
            return
        next_items = itertools.islice(stream, self._batch_size)
        samples: Iterator[Any] = (not_none(sample, self._name, item) for sample in next_items)
        if self._drop_last:
            full = list(samples)
            samples = iter(full if len(full) == self._batch_size else [])
        if not collate(samples, self._batch_size, item, writer):
            raise EndOfItems


END = object()


class GeneratorSource(StreamSource):
    """Calls a function for each epoch and takes what the iterator that it returns yields.

    Parameters
    ----------
    function : callable
        Takes no argument, or ``shard`` and ``num_shards``. An attribute ``max_shards`` says into
        how many shards of all ranks it can be divided, if not into any number.
    workers : int
        Number of shards here, if the function can be divided.
    rank : Shard
        Each rank runs so many shards of its own.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        workers: int,
        batch_size: int | None,
        drop_last: bool,
        rank: Shard = ALONE,
    ) -> None:
        super().__init__(getattr(function, "__name__", "generator"), batch_size, drop_last)
        self.function = function
        most = getattr(function, "max_shards", workers * rank.world) // rank.world
        self.undivided = not is_divisible(function)
        self.shards = 1 if self.undivided else max(1, min(workers, most))
        self._ranks = rank
        self._shard = 0
        self._epoch: int | None = None
        self._stream: Iterator[Any] = iter(())

    def fingerprint(self) -> str:
        """Return what is known, and the number of shards: they are taken in turn."""
        own = f", {identity_of(self.function)}" if hasattr(self.function, "fingerprint") else ""
        return f"{super().fingerprint()}, {self._ranks.world} x {self.shards} shards{own}"

    def open(self, worker: int) -> None:
        """Note which of this rank's shards this worker runs."""
        self._shard = worker

    def make(self, item: Item, writer: Writer) -> None:
        """Take the next item of this worker's stream; the first of an epoch starts it anew."""
        if item.epoch != self._epoch:
            self._close()
            self._stream = iter(())  # an epoch that cannot be started is over
            self._epoch = item.epoch
            if item.index != self._shard:  # a shard's first item has its number
                raise self._lost(item)
            self._stream = self._start()
        self._write_next(self._stream, item, writer)

    def _start(self) -> Iterator[Any]:
        if not is_divisible(self.function):
            return items_of(self.function(), self._name)
        assert self.shards is not None
        first, shards = self._ranks.rank * self.shards, self._ranks.world * self.shards
        return items_of(self.function(shard=first + self._shard, num_shards=shards), self._name)

    def _lost(self, item: Item) -> WorkerCrashed:
        """Say that another worker died in the middle of the stream, between two items. To begin
        the stream here would give everything again.
        """
        return WorkerCrashed(
            f"The worker process that ran {self._name} (shard {self._shard} of {self.shards}) was "
            f"ended from outside, perhaps because memory ran out, before it made index "
            f"{item.index} of epoch {item.epoch}. A generator cannot be continued by another "
            "process: what this one had still to give is missing from this epoch; the next epoch "
            "begins it anew.",
            item.index,
            item.epoch,
            None,
        )

    def _close(self) -> None:
        if hasattr(self._stream, "close"):
            self._stream.close()


class OnePass:
    """Base of sources over an iterator that somebody else has started; it cannot start again. A
    loop that was left goes on where it stopped.

    Attributes
    ----------
    stream_name : str
        What people call it.
    """

    stream_name: str

    def used_up(self, before: bool) -> SourceExhausted:
        """Say why there is no loop, and what to write instead.

        `before`: it never gave anything.
        """
        state = "gave nothing: it is empty, or used up already" if before else "is used up"
        return SourceExhausted(
            f"The {self.stream_name} {state}. An iterator gives its items once and cannot start "
            "again for another epoch. Pass the generator function itself (without calling it), or "
            "an object with __len__ and __getitem__."
        )


class IteratorSource(OnePass, StreamSource):
    """Takes the items of an iterator."""

    def __init__(self, iterator: Iterator[Any], batch_size: int | None, drop_last: bool) -> None:
        self.stream_name = type(iterator).__name__
        super().__init__(self.stream_name, batch_size, drop_last)
        self._iterator = iterator

    def make(self, item: Item, writer: Writer) -> None:
        """Take the next item."""
        self._write_next(self._iterator, item, writer)


def items_of(returned: Any, name: str) -> Iterator[Any]:
    """Begin with what a generator function has returned.

    Raises
    ------
    SourceError
        If it gives no items.
    """
    if not hasattr(returned, "__iter__") and not hasattr(returned, "__getitem__"):
        raise SourceError(
            f"{name} is called once an epoch, and what it returns must give the items one after "
            "the other, as a generator does. Is a `yield` missing? Received: "
            f"{type(returned).__name__}"
        )
    return iter(returned)


def is_divisible(function: Callable[..., Any]) -> bool:
    """Tell whether a generator function takes ``shard`` and ``num_shards``."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # a builtin without a signature
        return False
    return {"shard", "num_shards"} <= parameters.keys()


def require_callable_without_arguments(
    function: Callable[..., Any], may_be_divided: bool = True
) -> None:
    """Refuse a function that fastfeed could not call.

    Parameters
    ----------
    may_be_divided : bool
        It is given ``shard`` and ``num_shards`` where it takes both.

    Raises
    ------
    SourceError
        If it has other required parameters.
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return
    given = ("shard", "num_shards") if may_be_divided and is_divisible(function) else ()
    missing = [
        p.name
        for p in parameters
        if p.default is p.empty
        and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        and p.name not in given
    ]
    if missing:
        raise SourceError(
            f"{name_of(function)} needs the arguments {missing}, which fastfeed does not know: it "
            "calls a generator function without any, or with shard and num_shards if it takes "
            "both and there is no map. Bind others: functools.partial(function, ...)."
        )
