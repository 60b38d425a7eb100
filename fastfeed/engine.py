"""The machinery of one loader: made in the right order, taken down in the right order."""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import threading
import weakref
from typing import Any

from fastfeed import _core
from fastfeed.autotune.controller import Autotune
from fastfeed.autotune.options import Elastic
from fastfeed.devices.cuda import Pinning
from fastfeed.devices.streams import handle_of, pointers_of
from fastfeed.devices.target import Target
from fastfeed.devices.uploads import Uploads
from fastfeed.errors import ArgumentError
from fastfeed.feed import Feed, Opened
from fastfeed.monitor.growth import WorkerMemory, growing_text
from fastfeed.monitor.journal import View
from fastfeed.monitor.stats import DeviceStats, Stats
from fastfeed.parts import PART_NS, most_parts
from fastfeed.recognise import Plan
from fastfeed.schedule import IndexSchedule, MappedSchedule, Schedule, StreamSchedule
from fastfeed.slots import SlotCount, Slots
from fastfeed.sources.base import Source
from fastfeed.sources.mapped import MappedSource
from fastfeed.structure import Tree, describe
from fastfeed.workers.inline import InlinePool
from fastfeed.workers.process import ProcessPool
from fastfeed.workers.seeding import EPOCH_HOOK, GlobalNumbers
from fastfeed.workers.teardown import interpreter_is_ending, undisturbed
from fastfeed.workers.thread import ThreadPool

KEPT = {"numpy": 4, "tensorflow": 4, "torch": 8, "jax": 8}
"""Slots for batches in use, beyond those ahead: JAX runs ahead, and Keras on torch leaves batches
in reference cycles until the garbage collector comes."""
ON_THEIR_WAY = 2
"""Slots for batches that are being copied to a GPU."""
UNORDERED_SLACK = 4
"""Ring entries per ticket ahead: finished tickets overtake a slow one by so many rounds."""
MOST_WAITING = 64
"""On a GPU; more than a few serve nobody."""
MOST_TICKETS = _core.MAX_ENTRIES // UNORDERED_SLACK
MOST_AHEAD = MOST_TICKETS - MOST_WAITING
LOOK_EVERY = 20
"""Batches between two looks at the workers' memory; most find that it is not time for one."""
SPIN = 50
"""Pauses before a worker sleeps, about 2 us, where there are more cores than workers."""


class ParentHooks:
    """Calls the epoch hooks on the parent's copy of the source, so that it stays like the workers'.

    While threads work, or the calling thread, it is the only copy.
    """

    def __init__(self, source: Source, seed: int) -> None:
        self._source = source
        self._globals = GlobalNumbers(seed)
        self._epoch = -1

    def reach(self, epoch: int) -> None:
        """Call the hooks for every epoch up to this one."""
        while self._source.hooks_epochs and self._epoch < epoch:
            self._epoch += 1
            with self._globals.borrowed():
                self._globals.seed(self._epoch, EPOCH_HOOK)
                self._source.start_epoch(self._epoch)


class Engine:
    """Everything that has to be taken down in the right order; knows nothing of its `Loader`, so
    that a forgotten loader is collected and closes it.
    """

    def __init__(
        self,
        plan_: Plan,
        *,
        name: str,
        ahead: int,
        ordered: bool,
        elastic: Elastic | None,
        environment: dict[str, str],
        target: Target,
        rows: bool | str,
    ) -> None:
        self.pid = os.getpid()
        self.is_usable = True  # until it is closed; not in a fork of this process
        ENGINES.add(self)
        # One consumer at a time; close() comes after it. Re-entrant: a signal handler may close
        # the loader in the thread that waits for a batch.
        self._consumer = threading.RLock()
        self._source = plan_.source
        self._waiting = target.waiting if plan_.workers else 0
        most_ahead = elastic.most_ahead if elastic else ahead
        most_workers = max(1, elastic.most_workers if elastic else plan_.workers)
        tickets = most_ahead + self._waiting
        inline = not plan_.workers
        parts = min(most_parts(plan_.source, rows, most_workers), MOST_TICKETS // tickets)
        self._target = target
        self._uploads: Uploads | None = None
        self._pinning: Pinning | None = None
        with contextlib.ExitStack() as undo:  # close() needs all of it
            ring = make_ring(tickets * parts, most_workers, name, ordered, inline)
            self._ring, self._ring_fd = ring
            undo.callback(os.close, self._ring_fd)
            self.view = View(self.pid, self._ring_fd)
            self._memory = WorkerMemory(self.view)
            self._pool = self._make_pool(plan_, environment, most_workers)
            undo.callback(self._pool.close)
            self._connect_device(ordered)
            if self._uploads is not None:
                undo.callback(self._uploads.close)
            self._belt = self._make_belt(tickets, plan_.workers, parts)
            self._belt.part_ns = 0 if rows is True else PART_NS
            self._belt.ahead = ahead + self._waiting
            kept = ON_THEIR_WAY if self._uploads else KEPT[target.framework]
            count = SlotCount(most_ahead, kept, elastic.memory_bytes if elastic else None)
            self._slots = self._make_slots(count)
            schedule = self._make_schedule(plan_, tickets)
            self.feed = Feed(
                self._ring, self._belt, self._pool, self._slots, schedule, ordered, self._uploads
            )
            self.autotune = self._make_autotune(elastic) if elastic else None
            undo.pop_all()
        try:
            layout = plan_.source.layout()
            if layout is not None:
                self._slots.fit(layout.data_bytes + len(layout.note))
            self._pool.start()
        except BaseException:
            self.close()
            raise

    def _make_belt(self, tickets: int, workers: int, parts: int) -> _core.Belt:
        # Until the size of a batch is known, each travels in a segment of its own, or each part of
        # it in one as large, which costs more: one a worker is enough to find out.
        at_first = 1 if parts > 1 else min(tickets, max(1, workers))
        belt = _core.Belt(self._ring, tickets, at_first)
        belt.workers = max(1, workers)
        belt.most_parts = parts
        belt.look_at = 1
        return belt

    def _make_slots(self, count: SlotCount) -> Slots:
        collect = (lambda: gc.collect(0)) if self._target.framework == "torch" else None
        return Slots(count, self._pool, self._belt, collect, self._uploads or self._pinning)

    def _connect_device(self, ordered: bool) -> None:
        """Have batches uploaded, or only the slots page-locked for a framework that uploads."""
        target = self._target
        if target.device is None:
            return
        if target.waiting:
            self._uploads = Uploads(
                target.device,
                self._ring,
                waiting=target.waiting,
                fixed=target.fixed,
                ordered=ordered,
                leaves_cycles=target.framework == "torch",
            )
        self._pinning = self._uploads.pinning if self._uploads else Pinning(target.device)

    def _make_pool(
        self, plan_: Plan, environment: dict[str, str], most: int
    ) -> InlinePool | ThreadPool | ProcessPool:
        if not plan_.workers:
            return InlinePool(self._ring, plan_.source, plan_.seed)
        if not plan_.processes:
            return ThreadPool(self._ring, plan_.source, plan_.seed, plan_.workers, most)
        return ProcessPool(
            self._ring, self._ring_fd, plan_.source, plan_.seed, plan_.workers, environment, most
        )

    def _make_autotune(self, elastic: Elastic) -> Autotune:
        assert not isinstance(self._pool, InlinePool)
        slots = self._slots
        return Autotune(
            elastic,
            self._pool,
            self._belt,
            self.view,
            ordered=self.view.ordered,
            waiting=self._waiting,
            room=lambda: slots.count - slots.kept,
        )

    def _make_schedule(self, plan_: Plan, tickets: int) -> Schedule:
        source = plan_.source
        if source.shards is not None:
            return StreamSchedule(source.shards)
        if isinstance(source, MappedSource):
            window = 0 if self.view.ordered else 2 * UNORDERED_SLACK * tickets
            return MappedSchedule(source.supply, lambda: self._belt.held, window)
        return IndexSchedule(
            plan_.order,
            may_cross=functools.partial(may_cross, source, self._ring),
            on_enter=ParentHooks(source, plan_.seed).reach,
        )

    def next(self) -> Opened | None:
        """Return the next batch as `Feed.next` does."""
        with self._consumer:
            if self._belt.ask():
                self._belt.look_at = self._look()
                self._belt.workers = max(1, self._pool.size)
            return self.feed.next()

    def _look(self) -> int:
        """Look at how things go; return after how many batches to do so again."""
        self._memory.look(self.feed.epoch)
        return self.autotune.look() if self.autotune else self._belt.batches + LOOK_EVERY

    def record_stream(self, batch: Tree, stream: Any) -> None:
        """Say that a batch is used on a stream of which nobody has been told."""
        if self._uploads is None:
            raise ArgumentError(
                "record_stream is about batches that fastfeed has put on a GPU, and this loader's "
                "lie in host memory, or are copied by TensorFlow.",
                f"framework={self._target.framework!r}",
            )
        handle, found = handle_of(stream), False
        for pointer in pointers_of(batch):
            for owner in (self._uploads, self._target.transforming):
                lease = owner.find(pointer) if owner else None
                if lease is not None:
                    lease.hand_to(handle)
                    found = True
        if not found:
            raise ArgumentError(
                "No array of this batch lies in a buffer of this loader: give what the loader "
                "handed out, or a view of it.",
                describe(batch),
            )

    def stats(self) -> Stats:
        """Return the running totals."""
        totals = self.view.totals()
        self._memory.look(self.feed.epoch)
        return Stats(
            batches=totals.batches,
            bytes=totals.bytes,
            wait_seconds=totals.wait_ns / 1e9,
            production_wait_seconds=totals.production_wait_ns / 1e9,
            order_wait_seconds=totals.order_wait_ns / 1e9,
            upload_wait_seconds=totals.upload_wait_ns / 1e9,
            step_seconds=totals.step_ns / 1e9,
            failed=totals.failed,
            first_batch_seconds=totals.first_batch_ns / 1e9 or None,
            ready=totals.ready,
            worker_restarts=self._pool.restarts,
            workers=self._pool.size,
            ahead=self._belt.ahead - self._waiting if self._pool.size else 0,
            slots=self._slots.count,
            slots_kept=self._slots.kept if self._pool.size else self._slots.count,
            slot_bytes=self._slots.slot_bytes,
            device=self._device_stats(),
            view=self.view,
            advice=self.autotune.advice if self.autotune else "",
            growing=growing_text(self._memory.growing),
            cache=self._source.cache_use(),
            undivided=self._source.undivided,
        )

    def _device_stats(self) -> DeviceStats | None:
        device, pinning = self._target.device, self._pinning
        if device is None or pinning is None:
            return None
        return DeviceStats(
            f"cuda:{device.ordinal} {device.name}",
            pinning.pinned,
            pinning.registered_bytes,
            pinning.register_seconds,
            **(self._uploads.counts() if self._uploads else {}),
        )

    def close(self) -> None:
        """End everything. In a fork of the process that made it: nothing, it is not ours."""
        if self.pid != os.getpid():
            return
        self.is_usable = False
        ending = interpreter_is_ending()
        if not ending:
            self.feed.close()  # a consumer that waits in another thread leaves soon
        if not self._consumer.acquire(blocking=not ending):
            return  # a daemon thread's loop, frozen any moment now; its workers end after us
        try:
            with undisturbed():
                self._pool.close()
                if self._uploads is not None:
                    self._uploads.close()
                self._slots.close()
                os.close(self._ring_fd)
                self._source.close()  # last: a generator's end is the user's code
        finally:
            self._consumer.release()


ENGINES: weakref.WeakSet[Engine] = weakref.WeakSet()


def disown() -> None:
    """Say in a fork that the engines are not its own."""
    for engine in ENGINES:
        engine.is_usable = False


os.register_at_fork(after_in_child=disown)


def may_cross(source: Source, ring: _core.Ring, ahead: int) -> bool:
    """Tell whether tickets may go on into the next epoch, when they are `ahead` epochs ahead.

    Hooks change the source, so no item of the old epoch may be in the making then; and a consumer
    that leaves its epoch must find the source one epoch further, not several.
    """
    return not source.hooks_epochs or (ahead == 0 and not ring.is_making)


def make_ring(
    ahead: int, workers: int, name: str, ordered: bool, inline: bool
) -> tuple[_core.Ring, int]:
    """Make a ring for so many tickets and workers; return it and its memfd. The rest is for those
    who look at it.
    """
    entries = 1 << (ahead * UNORDERED_SLACK - 1).bit_length()
    fd = _core.create_memory("fastfeed-ring", _core.Ring.bytes_for(entries, workers))
    spin = SPIN if len(os.sched_getaffinity(0)) > workers + 1 else 0
    try:
        mapping = _core.Mapping(fd)
        return _core.Ring.create(mapping, entries, workers, spin, name, ordered, inline), fd
    except BaseException:
        os.close(fd)
        raise
