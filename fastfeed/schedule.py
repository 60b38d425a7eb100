"""Which ticket is posted next, and when an epoch is over."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from fastfeed._core import ANY_WORKER
from fastfeed.order import EpochOrder


class Request(NamedTuple):
    """A ticket to be posted."""

    epoch: int
    item: int
    worker: int


class Schedule(Protocol):
    """Decides what is made ahead; told of what came out."""

    def peek(self) -> Request | None:
        """Return the next ticket; None if nothing may be posted now."""

    def advance(self) -> None:
        """The ticket that `peek` returned was posted."""

    def delivered(self) -> None:
        """A batch (or an exception in its place) of the current epoch was taken."""

    def ended(self, epoch: int, worker: int) -> None:
        """A worker's stream gives no more items in this epoch: it is at its end, or crashed."""

    def has_ended(self, epoch: int, worker: int) -> bool:
        """Tell whether that is so: what may still come from its worker is to be dropped."""

    def is_over(self, epoch: int) -> bool:
        """Tell whether everything of the epoch was delivered."""

    def begin(self, epoch: int, afresh: bool) -> None:
        """The consumer starts this epoch. `afresh`: all tickets posted so far were dropped."""


class IndexSchedule:
    """Indices of a source of known length, epoch after epoch without a break.

    Parameters
    ----------
    order : EpochOrder or None
        None: endless, index after index.
    may_cross : callable
        Asked at the end of an epoch whether the next one's tickets may be posted already; gets the
        number of epochs that the tickets are ahead of the consumer.
    on_enter : callable
        Called with the number of each epoch before its first ticket is posted.
    """

    def __init__(
        self,
        order: EpochOrder | None,
        may_cross: Callable[[int], bool],
        on_enter: Callable[[int], None],
    ) -> None:
        self._order = order
        self._may_cross = may_cross
        self._on_enter = on_enter
        self._epoch = -1  # begin() enters the first one
        self._position = 0
        self._consumed = 0  # the consumer's epoch
        self._delivered = 0
        self._hook_error: Exception | None = None

    def peek(self) -> Request | None:
        """Return the next index of the epoch, or the first of the next one."""
        if self._order is None:
            return Request(self._epoch, self._position, ANY_WORKER)
        if self._position == self._order.length and not self._cross():
            return None
        index = self._order.index(self._epoch, self._position)
        return Request(self._epoch, index, ANY_WORKER)

    def advance(self) -> None:
        """Go to the next position."""
        self._position += 1

    def delivered(self) -> None:
        """Count."""
        self._delivered += 1

    def ended(self, epoch: int, worker: int) -> None:
        """Nothing: there are no streams. A crash costs one item, others make the next ones."""

    def has_ended(self, epoch: int, worker: int) -> bool:
        """Return False."""
        return False

    def is_over(self, epoch: int) -> bool:
        """Tell whether as many batches were delivered as there are."""
        return self._order is not None and self._delivered >= self._order.length

    def begin(self, epoch: int, afresh: bool) -> None:
        """Start counting; jump ahead if the tickets lag behind, or back if they were dropped."""
        self._consumed = epoch
        self._delivered = 0
        if self._hook_error is not None:
            error, self._hook_error = self._hook_error, None
            raise error
        if self._epoch < epoch:
            self._enter(epoch)
        elif afresh:
            self._epoch = epoch  # short epochs: the tickets may have been several ahead
            self._position = 0

    def _cross(self) -> bool:
        """Enter the next epoch if that is allowed. A hook that fails does so ahead of the consumer,
        who hears of it when he begins that epoch, as he would without workers.
        """
        if self._hook_error is not None or not self._may_cross(self._epoch - self._consumed):
            return False
        try:
            self._enter(self._epoch + 1)
        except Exception as error:
            self._hook_error = error
        return self._hook_error is None

    def _enter(self, epoch: int) -> None:
        self._on_enter(epoch)
        self._epoch = epoch
        self._position = 0


class StreamSchedule:
    """Permits for streams, one shard after the other, until each has said that it ended.

    A permit says "make your next item": its index only counts. Nothing of the next epoch is made
    ahead, because nobody knows where this one ends.
    """

    def __init__(self, shards: int) -> None:
        self._shards = shards
        self._epoch = 0
        self._count = 0
        self._turn = 0
        self._open = list(range(shards))

    def peek(self) -> Request | None:
        """Return a permit for the shard whose turn it is."""
        if not self._open:
            return None
        return Request(self._epoch, self._count, self._open[self._turn % len(self._open)])

    def advance(self) -> None:
        """Pass the turn on."""
        self._count += 1
        self._turn = (self._turn + 1) % len(self._open)

    def delivered(self) -> None:
        """Nothing to count: streams end by themselves."""

    def ended(self, epoch: int, worker: int) -> None:
        """Take the shard out of the round."""
        if epoch == self._epoch and worker in self._open:
            place = self._open.index(worker)
            self._open.remove(worker)
            self._turn -= place < self._turn

    def has_ended(self, epoch: int, worker: int) -> bool:
        """Tell whether the shard is out of the round."""
        return epoch == self._epoch and worker not in self._open

    def is_over(self, epoch: int) -> bool:
        """Tell whether every shard has ended."""
        return epoch == self._epoch and not self._open

    def begin(self, epoch: int, afresh: bool) -> None:
        """Open all shards again."""
        self._epoch = epoch
        self._count = self._turn = 0
        self._open = list(range(self._shards))
