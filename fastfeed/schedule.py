"""Which ticket is posted next, and when an epoch is over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from fastfeed._core import Run
from fastfeed.errors import SourceError
from fastfeed.order import EpochOrder
from fastfeed.sources.mapped import Supply

ENDLESS = 2**63
"""More batches than anybody takes."""


class Schedule(Protocol):
    """Decides what is made ahead."""

    @property
    def prepare(self) -> Callable[[], None] | None:
        """What takes time here, if anything does; called when the consumer asks for a batch, so
        that it counts as waiting.
        """

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

    def resume(self, epoch: int, position: int) -> int:
        """Let `epoch`, when it is begun afresh, start at a position of its order. Returns how many
        batches the consumer has to pass over instead.
        """

    def reached(self, epoch: int, batches: int) -> int:
        """Return the position of an epoch after so many of its batches."""


class FromPosition:
    """For schedules that can begin an epoch in its middle."""

    _resumed = (0, 0)

    def resume(self, epoch: int, position: int) -> int:
        """Let one epoch start at a position; those after it start at their first."""
        self._resumed = epoch, position
        return 0

    def _position(self, epoch: int) -> int:
        return self._resumed[1] if epoch == self._resumed[0] else 0


class IndexSchedule(FromPosition):
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

    prepare: Callable[[], None] | None = None

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
        return ENDLESS if self._order is None else self._order.steps(self._position(epoch))

    def reached(self, epoch: int, batches: int) -> int:
        """Return the items that all ranks have consumed."""
        start = self._position(epoch)
        return start + batches if self._order is None else self._order.after(start, batches)

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
        if self._order is None:
            self._run = Run(epoch, self._position(epoch), ENDLESS)
        else:
            self._run = self._order.run(epoch, self._position(epoch))


class StreamSchedule:
    """Permits for streams, one shard after the other, until each has said that it ended.

    A permit says "make your next item": its index only counts. Nothing of the next epoch is made
    ahead, because nobody knows where this one ends.
    """

    prepare: Callable[[], None] | None = None

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

    def resume(self, epoch: int, position: int) -> int:
        """A stream has no positions; whoever goes on in its middle runs it forward."""
        return position

    def reached(self, epoch: int, batches: int) -> int:
        """Return the number of batches."""
        return batches


class MappedSchedule(FromPosition):
    """A generator's light items, one ticket after the other, as long as there are any.

    The last ticket of an epoch has no items: its worker answers that it is at the end. It is posted
    when nothing else is on its way, so that it comes after all the others in any case.

    Parameters
    ----------
    supply : Supply
        Pulls the items.
    outstanding : callable
        Returns how many tickets were posted whose batches were not handed out.
    window : int
        Among how many of the last tickets these are; 0: they are the last ones.
    """

    def __init__(self, supply: Supply, outstanding: Callable[[], int], window: int) -> None:
        self._supply = supply
        self._outstanding = outstanding
        self._window = window
        self._epoch = 0
        self._count = 0
        self._has_more = False
        self._error: Exception | None = None  # the generator's
        self._is_prepared = False  # the items of the next ticket are on the shelf
        self._last_posted = False
        self._is_over = False

    def prepare(self) -> None:
        """Pull the items of the next ticket."""
        if self._has_more and not self._is_prepared:
            self._pull()
            self._is_prepared = self._has_more

    def next_run(self) -> Run | None:
        """Return a ticket whose items are on the shelf; or the last one."""
        self.prepare()
        self._is_prepared = False
        if not self._has_more:
            if self._last_posted or self._outstanding():
                return None
            self._last_posted = True
            self._supply.put_none(self._epoch, self._count)
        ticket = Run(self._epoch, self._count, 1, position=self.reached(self._epoch, self._count))
        self._count += 1
        return ticket

    def _pull(self) -> None:
        """Lay down the items of the next ticket. What the generator raises ends the epoch, and is
        heard of when the batches before have been handed out; Ctrl-C at once.
        """
        oldest = self._count - max(self._outstanding(), self._window)
        try:
            self._has_more = self._supply.put(self._epoch, self._count, oldest)
        except Exception as error:
            self._has_more, self._error = False, error
        except BaseException:
            self._has_more, self._error = False, interrupted(self._epoch)
            raise

    def ended(self, epoch: int, worker: int) -> None:
        """Raise what the generator raised, if this was the last ticket. Or else an item has killed
        its workers, and others make the next ones.
        """
        if not self._last_posted:
            return
        self._is_over = True
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def has_ended(self, epoch: int, worker: int) -> bool:
        """Return False: no worker has a stream."""
        return False

    def is_over(self, epoch: int) -> bool:
        """Tell whether the last ticket has come back."""
        return self._is_over

    def begin(self, epoch: int, afresh: bool) -> int:
        """Begin the generator."""
        self._epoch = epoch
        self._last_posted = self._is_over = self._has_more = self._is_prepared = False
        self._error = None
        self._count = 0
        self._supply.begin(self._position(epoch))
        self._has_more = True
        return ENDLESS

    def reached(self, epoch: int, batches: int) -> int:
        """Return the light items that all ranks have consumed."""
        return self._position(epoch) + batches * self._supply.step


def interrupted(epoch: int) -> SourceError:
    """Say why an epoch ends early if a loop goes on after Ctrl-C."""
    return SourceError(
        f"The generator was interrupted in epoch {epoch} while it made an item, and cannot be "
        "continued: the rest of this epoch is missing; the next one begins the generator anew."
    )
