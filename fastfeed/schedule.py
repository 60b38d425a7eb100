"""Which ticket is posted next, and when an epoch is over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from fastfeed._core import Run
from fastfeed.order import EpochOrder

ENDLESS = 2**63
"""More batches than anybody takes."""


class Schedule(Protocol):
    """Decides what is made ahead."""

    def next_run(self) -> Run | None:
        """Return the tickets to be posted next; None if nothing may be posted now. What was
        returned before has been posted.
        """

    def ended(self, epoch: int, worker: int) -> None:
        """A worker's stream gives no more items in this epoch: it is at its end, or crashed."""

    def has_ended(self, epoch: int, worker: int) -> bool:
        """Tell whether that is so: what may still come from its worker is to be dropped."""

    def begin(self, epoch: int, afresh: bool) -> int:
        """The consumer starts this epoch. `afresh`: all tickets posted so far were dropped.

        Returns how many batches there are to come, or `ENDLESS`.
        """

    def is_over(self, epoch: int) -> bool:
        """Tell whether an epoch that seemed endless is at its end."""


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
        self._length = ENDLESS if order is None else order.length
        self._may_cross = may_cross
        self._on_enter = on_enter
        self._epoch = -1  # begin() enters the first one
        self._run: Run | None = None  # of that epoch, until it is asked for
        self._consumed = 0  # the consumer's epoch
        self._hook_error: Exception | None = None

    def next_run(self) -> Run | None:
        """Return the whole epoch, or the next one."""
        if self._run is None and not self._cross():
            return None
        run, self._run = self._run, None
        return run

    def ended(self, epoch: int, worker: int) -> None:
        """Nothing: there are no streams. A crash costs one item, others make the next ones."""

    def has_ended(self, epoch: int, worker: int) -> bool:
        """Return False."""
        return False

    def is_over(self, epoch: int) -> bool:
        """Return False: an epoch ends with its last batch."""
        return False

    def begin(self, epoch: int, afresh: bool) -> int:
        """Jump ahead if the tickets lag behind, or back if they were dropped."""
        self._consumed = epoch
        if self._hook_error is not None:
            error, self._hook_error = self._hook_error, None
            raise error
        if self._epoch < epoch:
            self._enter(epoch)
        elif afresh:
            self._start(epoch)  # short epochs: the tickets may have been several ahead
        return self._length

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
        self._start(epoch)

    def _start(self, epoch: int) -> None:
        self._epoch = epoch
        items = None if self._order is None else self._order.items(epoch)
        self._run = Run(epoch, 0, self._length, items)


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

    def next_run(self) -> Run | None:
        """Return a permit for the shard whose turn it is."""
        if not self._open:
            return None
        permit = Run(self._epoch, self._count, 1, worker=self._open[self._turn % len(self._open)])
        self._count += 1
        self._turn = (self._turn + 1) % len(self._open)
        return permit

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

    def begin(self, epoch: int, afresh: bool) -> int:
        """Open all shards again."""
        self._epoch = epoch
        self._count = self._turn = 0
        self._open = list(range(self._shards))
        return ENDLESS
