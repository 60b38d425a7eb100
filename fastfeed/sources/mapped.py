"""`fastfeed.generator`: one generator makes light items in order, workers make batches of them.

The generator stays in the parent, which pulls an item when a ticket for it may be posted, so it is
never copied, divided or run twice. The workers get the function and, ticket by ticket, the item. An
item lies in shared memory until its batch was made: should the worker die, another makes it again.
"""

from __future__ import annotations

import inspect
import itertools
import reprlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from fastfeed.errors import ArgumentError, SourceError
from fastfeed.sources.base import EndOfItems, Item, Source, Writer, name_of, not_none
from fastfeed.sources.light import Shelf
from fastfeed.sources.samples import collate
from fastfeed.sources.streams import OnePass, items_of, require_callable_without_arguments


class MappedGenerator:
    """A generator and the function for its items; what `generator` returns. A `Loader` takes it."""

    def __init__(self, items: Any, function: Callable[..., Any]) -> None:
        self.items = items
        self.function = function

    def __repr__(self) -> str:
        return f"fastfeed.generator({name_of(self.items)}, map={name_of(self.function)})"


def generator(gen: Any, map: Callable[..., Any]) -> MappedGenerator:
    """Let one generator make light items in order, and workers the heavy part of each.

    Parameters
    ----------
    gen : generator function, iterable or iterator
        Gives the items: paths, numbers, rows of a table, whatever is quickly made and small. It
        runs in the calling process, inside ``next()``, and only as far ahead as the queue is long;
        it need not be picklable. A generator function, or another iterable, begins anew for each
        epoch; an iterator serves one pass.
    map : callable
        ``map(item)`` or ``map(item, rng)``: makes a batch of one item, or a sample where the
        `Loader` is given a `batch_size`. It runs in the workers. ``rng`` is a
        `numpy.random.Generator` seeded from (seed, epoch, number of the item).

    Returns
    -------
    MappedGenerator
        A source for `Loader` and `fit_generator`. Batches come in the order of the items, each
        once, also when a worker was killed. What either function raises arrives at its place in
        the order; after an exception of `gen` the epoch is over.

    Raises
    ------
    ArgumentError
        If `gen` gives no items, or `map` cannot be called like that.

    Examples
    --------
    >>> import numpy as np, fastfeed
    >>> source = fastfeed.generator(lambda: iter(range(3)), map=lambda n: np.full(2, n))
    >>> with fastfeed.Loader(source, workers=2) as loader:
    ...     print([batch.tolist() for batch in loader])
    [[0, 0], [1, 1], [2, 2]]
    """
    if isinstance(gen, type) or not (callable(gen) or hasattr(gen, "__iter__")):
        raise ArgumentError(
            "The first argument of fastfeed.generator is a generator function, an iterable or an "
            "iterator.",
            repr(gen),
        )
    if not callable(map):
        raise ArgumentError(
            "map is the function that makes a batch or sample of an item: map(item).",
            f"map={map!r}",
        )
    if not hasattr(gen, "__iter__"):
        require_callable_without_arguments(gen, may_be_divided=False)
    takes_rng(map)
    return MappedGenerator(gen, map)


def takes_rng(function: Callable[..., Any]) -> bool:
    """Tell whether a function has a parameter ``rng``.

    Raises
    ------
    ArgumentError
        If it cannot be called with an item, and ``rng`` if it takes that.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # a builtin without a signature
        return False
    wanted = "rng" in signature.parameters
    try:
        signature.bind(None, **({"rng": None} if wanted else {}))
    except TypeError as error:
        raise ArgumentError(
            f"map is called as {name_of(function)}(item), or as {name_of(function)}(item, rng) if "
            f"it has a parameter of that name ({error}). Bind others: functools.partial(...).",
            f"map={name_of(function)}{signature}",
        ) from None
    return wanted


class Share:
    """Which light items are for which ticket of which rank.

    At each step the ranks take the next items side by side, so `rows` x `world` items are pulled
    for each ticket, and this rank's `rows` of them are sent.

    Parameters
    ----------
    batch_size : int or None
        None: a batch is made of each item.
    drop_last : bool
        Leave out a last batch that is not full. Without that the last step of several ranks is
        left out where it is not full: they must make the same number of steps.
    rank, world : int
    """

    def __init__(
        self, batch_size: int | None, drop_last: bool, rank: int = 0, world: int = 1
    ) -> None:
        self.rows = batch_size or 1
        self.step = self.rows * world
        self._first = self.rows * rank
        self._only_full = drop_last or world > 1

    def of(self, pulled: list[Any]) -> list[Any]:
        """Return this rank's items of a step; none at the end."""
        if len(pulled) < self.step and self._only_full:
            return []
        return pulled[self._first : self._first + self.rows]

    def numbers(self, position: int) -> range:
        """Return the numbers of the items for the ticket that begins there, in the order of the
        generator.
        """
        first = position + self._first
        return range(first, first + self.rows)


class Supply:
    """The parent's side: pulls items for one ticket after the other, and lays them on the shelf.

    Parameters
    ----------
    items : generator function, iterable or iterator
        The user's.
    """

    def __init__(self, items: Any, share: Share, shelf: Shelf) -> None:
        self._source = items
        self._share = share
        self._shelf = shelf
        self._items: Iterator[Any] = iter(())

    @property
    def step(self) -> int:
        """Items that all ranks take together for a ticket each."""
        return self._share.step

    def begin(self, position: int) -> None:
        """Begin an epoch. What is left of the epoch before is gone.

        Parameters
        ----------
        position : int
            Items to be passed over: those that all ranks have consumed before.
        """
        self.close()
        source = self._source
        if hasattr(source, "__iter__"):
            self._items = iter(source)
        else:
            self._items = items_of(source(), name_of(source))
        next(itertools.islice(self._items, position, position), None)

    def put(self, epoch: int, index: int, oldest: int) -> bool:
        """Pull the items of the next ticket; False if there are none left. Of tickets before
        `oldest` the batches have been handed out.
        """
        items = self._share.of(list(itertools.islice(self._items, self._share.step)))
        if items:
            self._shelf.put(epoch, index, items, oldest)
        return bool(items)

    def put_none(self, epoch: int, index: int) -> None:
        """Say to the worker of this ticket that there are no more."""
        self._shelf.put(epoch, index, [], index)

    def close(self) -> None:
        """Close the generator, unless it is the user's own, and forget what it gave."""
        self._shelf.clear()
        items, self._items = self._items, iter(())
        if items is not self._source and hasattr(items, "close"):
            with suppress(ValueError):  # it is running: a signal handler closes the loader
                items.close()


class MappedSource(Source):
    """Makes a batch of the light items of a ticket.

    Attributes
    ----------
    supply : Supply
        Parent only: stays behind when the source is sent to a worker.
    """

    def __init__(
        self, mapped: MappedGenerator, shelf: Shelf, batch_size: int | None, share: Share
    ) -> None:
        self.function = mapped.function
        self.supply = Supply(mapped.items, share, shelf)
        self._takes_rng = takes_rng(mapped.function)
        self._name = name_of(mapped.function)
        self._items_name = name_of(mapped.items)
        self._shelf = shelf
        self._batch_size = batch_size
        self._share = share

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "supply"}

    def descriptors(self) -> list[int]:
        """Return what the workers reach the items by."""
        return self._shelf.descriptors()

    def adopt(self, descriptors: list[int]) -> None:
        """Reach the items by that."""
        self._shelf.adopt(descriptors)

    def fingerprint(self) -> str:
        """Return the names of the generator and the function."""
        return f"generator {self._items_name} mapped by {self._name}"

    def close(self) -> None:
        """Close the generator, and give back the memory of its items."""
        self.supply.close()
        self._shelf.close()

    def make(self, item: Item, writer: Writer) -> None:
        """Apply the function; a ticket for no items says that there are no more."""
        light = self._shelf.take(item.epoch, item.index)
        if light is None:
            raise SourceError(f"The items of index {item.index} (epoch {item.epoch}) are gone.")
        if not light:
            raise EndOfItems
        numbers = self._share.numbers(item.position)
        made = (self._call(one, number, item) for one, number in zip(light, numbers, strict=False))
        if self._batch_size is None:
            writer.write(next(made))
        else:
            collate(made, self._batch_size, item, writer)

    def _call(self, light: Any, number: int, item: Item) -> Any:
        item.seed(number)
        try:
            if self._takes_rng:
                result = self.function(light, rng=item.rng_of(number))
            else:
                result = self.function(light)
            return not_none(result, self._name, item)
        except Exception as error:
            shown = reprlib.repr(light)
            error.add_note(f"{self._name} was called with item {number} of the generator: {shown}")
            raise


class MappedIterator(OnePass, MappedSource):
    """The same for an iterator that somebody else has started; it cannot start again."""

    def __init__(
        self, mapped: MappedGenerator, shelf: Shelf, batch_size: int | None, share: Share
    ) -> None:
        super().__init__(mapped, shelf, batch_size, share)
        self.stream_name = type(mapped.items).__name__
