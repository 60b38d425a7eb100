"""One worker's loop: claim a ticket, make the batch, publish it. The same in a process, a thread
and the calling thread.
"""

from __future__ import annotations

from fastfeed._core import END, Claim, Ring
from fastfeed.order import ItemNumbers
from fastfeed.sources.base import EndOfItems, Item, Source
from fastfeed.workers.failures import presentable
from fastfeed.workers.ranges import in_range
from fastfeed.workers.seeding import EPOCH_HOOK, GlobalNumbers
from fastfeed.workers.writer import Room, SlotWriter

IDLE_NS = 1_000_000_000
"""A sleeping worker looks around after this long, should a wake-up ever be lost."""


class Work:
    """Makes batches until it is told to go home.

    Parameters
    ----------
    worker : int
        This worker's number.
    room : Room
        Where it gets memory.
    seeds : "own", "borrow" or "none"
        What happens to the global random numbers: a process has its own; the calling thread's
        belong to the user and are put back; threads share them, so they are left alone.
    """

    def __init__(
        self, ring: Ring, worker: int, source: Source, seed: int, room: Room, seeds: str
    ) -> None:
        self._ring = ring
        self._worker = worker
        self._source = source
        self._writer = SlotWriter(ring, room)
        self._epoch = -1
        self._numbers = ItemNumbers(seed)
        self._globals = GlobalNumbers(seed) if seeds != "none" else None
        self._borrowed = self._globals.borrowed if self._globals and seeds == "borrow" else None
        self._calls_hooks = seeds == "own" and source.hooks_epochs

    def run(self) -> None:
        """Work until the ring is stopped."""
        make = in_range("make", self.make)
        while True:
            try:
                claim = self._ring.claim(self._worker, IDLE_NS)
            except StopIteration:
                return
            if claim is not None:
                make(claim)

    def make_one(self) -> bool:
        """Make one batch if a ticket is open; for the calling thread."""
        claim = self._ring.claim(self._worker, 0)
        if claim is not None:
            self.make(claim)
        return claim is not None

    def make(self, claim: Claim) -> None:
        """Make the batch of a ticket, whatever comes of it."""
        self._writer.start(claim)
        try:
            if self._borrowed is not None:
                with self._borrowed():
                    self._make(claim)
            else:
                self._make(claim)
        except EndOfItems:
            self._ring.publish(claim, END)
        except BaseException as error:
            if self._writer.is_published:  # Ctrl-C in the calling thread: the batch stays
                raise
            self._writer.fail(presentable(error, claim.index, claim.epoch))

    def _make(self, claim: Claim) -> None:
        item = Item(self._numbers, self._globals, claim)
        if self._calls_hooks:
            self._reach(claim.epoch)
        self._source.prepare(item)
        if not item.rows:  # samples have their own
            item.seed(item.index)
        self._source.make(item, self._writer)

    def _reach(self, epoch: int) -> None:
        """Bring this process's copy of the source to `epoch`; a late starter catches up."""
        while self._epoch < epoch:
            self._epoch += 1
            assert self._globals is not None
            self._globals.seed(self._epoch, EPOCH_HOOK)
            self._source.start_epoch(self._epoch)
