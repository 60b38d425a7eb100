"""The iterators of ``ImageDataGenerator.flow`` and its kin, of Keras 3 and of those before it.

They look like a Sequence, but workers cannot use them as they are. They hold a lock and a running
generator, so they do not pickle. Each call counts on, and the random numbers follow the count, so
an item depends on who asked for which one before. And they draw from `numpy.random`, which threads
share. Here an item depends on its epoch and index alone, and the user's object stays as it is.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastfeed.order import generator
from fastfeed.sources.base import Item, Source, Writer, not_none
from fastfeed.sources.fingerprints import identity_of
from fastfeed.sources.indexable import EpochHooks

METHODS = ("_get_batches_of_transformed_samples", "_set_index_array", "_flow_index")
"""By these the iterators are known, without importing any of the packages that have them."""

State = Any
"""What `numpy.random.get_state` returns."""


def is_image_iterator(source: Any) -> bool:
    """Tell whether this is what ``ImageDataGenerator.flow`` or its kin returned."""
    return all(hasattr(type(source), name) for name in METHODS)


class ImageSource(Source):
    """Makes item i of an epoch as the iterator's own ``next()`` does, if it has a seed.

    Parameters
    ----------
    iterator : Iterator of Keras's image preprocessing
        Its own `seed` counts, so that two of them (images and masks) stay together.
    seed : int
        Used where the iterator has none.
    """

    def __init__(self, iterator: Any, seed: int) -> None:
        self.items = without_lock(iterator)
        self._seed = seed
        self._orders: dict[int, Order] = {}
        self._hooks = EpochHooks(self.items)
        self.hooks_epochs = bool(self._hooks)

    def fingerprint(self) -> str:
        """Return the iterator's: its class, if it has no other."""
        return identity_of(self.items)

    def start_epoch(self, epoch: int) -> None:
        """Call the hooks of a user's subclass."""
        self._hooks.before(epoch)

    def make(self, item: Item, writer: Writer) -> None:
        """Load and transform the images of one batch."""
        order = self._order(item.epoch)
        state = order.state if item.index == 0 else self._state(item.epoch, item.index)
        images = copy.copy(self.items)
        images.index_array = order.rows
        images.seed = None  # or it would seed numpy.random itself
        transforms = getattr(images, "image_data_generator", None)
        if transforms is not None:
            images.image_data_generator = drawing_from(SharedNumbers(state), transforms)
        writer.write(not_none(images[item.index], f"{type(images).__name__}.__getitem__", item))

    def _order(self, epoch: int) -> Order:
        """Return the order of an epoch, as the iterator itself makes it (subclasses differ)."""
        order = self._orders.get(epoch)
        if order is None:
            numbers = SharedNumbers(self._state(epoch, 0))
            images = copy.copy(self.items)
            with numbers.drawn():
                images._set_index_array()
            order = Order(images.index_array, numbers.state)
            # Threads may work at the end of one epoch and at the beginning of the next.
            before = self._orders.get(epoch - 1)
            self._orders = {epoch: order} if before is None else {epoch - 1: before, epoch: order}
        return order

    def _state(self, epoch: int, index: int) -> State:
        """Return the state of `numpy.random` in which the iterator itself would make an item."""
        if self.items.seed is None:
            seed = int(generator(self._seed, epoch, index).integers(2**32))
        else:
            seed = self.items.seed + epoch * len(self.items) + index
        return np.random.RandomState(seed).get_state()


class Order(NamedTuple):
    """Which image comes when in an epoch, and the random numbers' state after that was drawn."""

    rows: npt.NDArray[np.integer[Any]]
    state: State


GLOBAL_NUMBERS = threading.Lock()
"""Held while `numpy.random` is borrowed: one thread draws at a time."""


class SharedNumbers:
    """Random numbers of one's own for code that takes them from `numpy.random`."""

    def __init__(self, state: State) -> None:
        self.state = state

    @contextmanager
    def drawn(self) -> Iterator[None]:
        """Let `numpy.random` go on from our state; afterwards it is as before."""
        with GLOBAL_NUMBERS:
            others = np.random.get_state()
            np.random.set_state(self.state)
            try:
                yield
            finally:
                self.state = np.random.get_state()
                np.random.set_state(others)


def drawing_from(numbers: SharedNumbers, image_data_generator: Any) -> Any:
    """Return a copy of an ImageDataGenerator whose transforms follow `numbers`.

    Only what a transform is to be is drawn in turn; threads apply them side by side.
    """
    draw = image_data_generator.get_random_transform

    def drawn(*args: Any, **kwargs: Any) -> Any:
        with numbers.drawn():
            return draw(*args, **kwargs)

    own = copy.copy(image_data_generator)
    own.get_random_transform = drawn
    return own


def without_lock(iterator: Any) -> Any:
    """Return a copy without the parts that do not pickle; they serve ``next()`` only."""
    own = copy.copy(iterator)
    for name in ("lock", "index_generator"):
        vars(own).pop(name, None)
    return own
