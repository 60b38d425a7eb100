"""What ``Loader.stats()`` returns."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from fastfeed.caching.base import CacheUse
from fastfeed.errors import gib
from fastfeed.monitor.journal import Records, View
from fastfeed.monitor.summary import Summary, summarise
from fastfeed.monitor.verdict import Verdict, startup_wait, verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class DeviceStats:
    """What has gone to a GPU, since the loader was made.

    Attributes
    ----------
    name : str
        Of the GPU, with its number: ``"cuda:0 NVIDIA H100"``.
    pinned : bool or None
        The GPU reads the slots directly. None: there are none yet. False: the driver refused to
        page-lock them, and each batch is copied once more on the host.
    registered_bytes, register_seconds : int, float
        Page-locked, and the time that it took.
    uploads, upload_bytes : int
        Batches copied to the GPU, and the bytes of their arrays.
    host_copies : int
        Batches copied on the host on their way from a slot to the GPU: those that came in memory
        of their own because their slot was too small or not there yet, and all of them where
        `pinned` is False.
    waiting : int
        Batches that wait on the GPU, now.
    buffers, buffer_bytes : int
        That batches take up on the GPU.
    """

    name: str
    pinned: bool | None
    registered_bytes: int
    register_seconds: float
    uploads: int = 0
    upload_bytes: int = 0
    host_copies: int = 0
    waiting: int = 0
    buffers: int = 0
    buffer_bytes: int = 0

    def __str__(self) -> str:
        """Write the totals for people."""
        pinned = {None: "no slots yet", True: "page-locked", False: "NOT page-locked"}[self.pinned]
        return (
            f"device: {self.name}; {self.uploads} uploads, {gib(self.upload_bytes)}, "
            f"{self.host_copies} with a copy on the host; {self.waiting} waiting in "
            f"{self.buffers} buffers, {gib(self.buffer_bytes)}\n"
            f"slots: {pinned}, {gib(self.registered_bytes)} in {self.register_seconds:.3f} s"
        )


@dataclass(frozen=True)
class Stats:
    """A loader's running totals since it was made; ``print`` shows them in a few lines.

    Attributes
    ----------
    batches : int
        Batches handed out.
    bytes : int
        Bytes of their arrays.
    wait_seconds : float
        Time that ``next()`` spent waiting because no batch was ready (with ``workers=0``: the
        whole making).
    production_wait_seconds, order_wait_seconds, upload_wait_seconds : float
        Parts of it: no batch was finished; one was, but not the next in order; the next was, but
        not on its way to the GPU.
    step_seconds : float
        Time that the loop took between two batches of an epoch.
    failed : int
        Samples that could not be read, where the source leaves them out or gives zeros instead.
    first_batch_seconds : float or None
        From the making of the loader to the first batch in the caller's hands.
    ready : int
        Batches that are finished and wait to be taken, now; those that wait on a GPU are not among
        them.
    worker_restarts : int
        Worker processes that died and were replaced.
    workers : int
        Workers, 0 for the calling thread.
    ahead : int
        Batches ready or in the making ahead of the consumer, at the most: `max_queue_size`, or 0
        where the calling thread makes them.
    slots, slot_bytes : int
        Batches that fit into shared memory at the same time, and bytes of each (0 until the first
        batch has shown how large they are).
    slots_kept : int
        Of those, for batches in use. With ``max_queue_size="auto"`` some more may be free.
    device : DeviceStats or None
        What has gone to a GPU.
    advice : str
        What live tuning has found and cannot do itself; the verdict says it too.
    growing : str
        Names the worker processes whose own memory grows steadily, with the likely cause and the
        cure; "" if none does, or nobody can say yet. Needs ten seconds at least.
    cache : CacheUse or None
        What a cache holds, and how often it could help.
    undivided : bool
        The source is one stream, which one worker makes, whatever their number.
    """

    batches: int
    bytes: int
    wait_seconds: float
    production_wait_seconds: float
    order_wait_seconds: float
    upload_wait_seconds: float
    step_seconds: float
    failed: int
    first_batch_seconds: float | None
    ready: int
    worker_restarts: int
    workers: int
    ahead: int
    slots: int
    slots_kept: int
    slot_bytes: int
    device: DeviceStats | None
    view: View = field(repr=False, compare=False)
    advice: str = ""
    growing: str = ""
    cache: CacheUse | None = None
    undivided: bool = False

    @cached_property
    def records(self) -> Records:
        """The last batches, 16,384 at the most, as they are when first asked for."""
        return self.view.records()

    @cached_property
    def summary(self) -> Summary:
        """Figures over `records`."""
        return summarise(self.records)

    @cached_property
    def verdict(self) -> Verdict:
        """Whether the loop waits for its data, for what, and what would do; ``print`` shows it in
        one line.
        """
        startup = startup_wait(self.records, self.batches, self.workers)
        now = (self.workers, self.ahead, self.view.ordered)
        found = verdict(self.summary, *now, startup, undivided=self.undivided)
        return replace(found, text=f"{found.text}; {self.advice}") if self.advice else found

    def plot(self, path: str | os.PathLike[str] | None = None) -> Figure:
        """Draw where the time went, how many batches were ready, and how long they took.

        Parameters
        ----------
        path : path, optional
            Where to save the picture; its ending says in which format.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        LibraryMissing
            matplotlib is not installed.
        ArgumentError
            `path` has an ending that nobody knows.
        NotSaved
            It cannot be written.
        """
        from fastfeed.pictures.stats import stats_picture
        from fastfeed.pictures.style import save

        waiting = self.view.totals().outstanding
        picture = stats_picture(self.records, self.ahead or None, waiting, str(self.verdict))
        if path is not None:
            save(picture, path)
        return picture

    @property
    def memory_bytes(self) -> int:
        """Bytes that batches take up at the most: (`ahead` + in use + workers) x a batch.

        The slots are allocated as soon as their size is known. A worker has one batch of its own
        besides, until that is copied into its slot; with a source that has ``fill`` it has none.
        Batches that are handed out as copies because the caller keeps many are not counted.
        """
        return (self.slots + self._makers) * self.slot_bytes

    def _times(self) -> str:
        causes = {
            "production": self.production_wait_seconds,
            "order": self.order_wait_seconds,
            "upload": self.upload_wait_seconds,
        }
        said = ", ".join(f"{name} {seconds:.3f}" for name, seconds in causes.items() if seconds)
        first = self.first_batch_seconds
        return (
            f"time: waited {self.wait_seconds:.3f} s{f' ({said})' if said else ''}, "
            f"steps {self.step_seconds:.3f} s"
            + (f", first batch after {first:.3f} s" if first is not None else "")
        )

    @property
    def _makers(self) -> int:
        return max(1, self.workers)  # 0: the calling thread

    def __str__(self) -> str:
        """Write the totals for people."""
        free = self.slots - self.ahead - self.slots_kept
        kept = f"{self.slots_kept} in use" + (f" + {free} free" if free else "")
        sizes = f"({self.ahead} ahead + {kept} + {self._makers} of the workers' own)"
        memory = "a batch, of a size not known yet"
        if self.slot_bytes:
            memory = f"{gib(self.slot_bytes)} = {gib(self.memory_bytes)} at the most"
        return (
            f"batches: {self.batches} handed out, {gib(self.bytes)}\n"
            f"{self._times()}\n"
            f"queue: {self.ready} of at most {self.ahead} ready; "
            f"{self.workers} workers, {self.worker_restarts} replaced\n"
            f"memory: {sizes} x {memory}"
            + (f"\n{self.device}" if self.device else "")
            + (f"\n{self.cache}" if self.cache else "")
            + (f"\ngrowing: {self.growing}" if self.growing else "")
            + (f"\n{self.verdict}" if self.batches else "")
        )
