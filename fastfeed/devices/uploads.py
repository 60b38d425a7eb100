"""The parent's side of the upload thread: what `Slots` and `Feed` need of it."""

from __future__ import annotations

import gc
import time

from fastfeed._core import Batch, Device, DeviceLease, Lease, Monitor, Ring, Segment, Uploader
from fastfeed.devices.cuda import Pinning
from fastfeed.errors import ArgumentError, CoreError, DeviceError, gib

HANDED_OUT = 2
"""Buffers beyond those that wait: one is being trained on, the one before has just been left."""
PATIENCE_S = 30.0
"""So long a fixed buffer may be missing before that is an error. JAX lets go late."""


class Uploads:
    """Takes finished batches from the ring to a GPU.

    Parameters
    ----------
    waiting : int
        Batches that wait on the device, at the most.
    fixed : bool
        Exactly `waiting` buffers, in turn, at the same addresses for ever.
    leaves_cycles : bool
        The framework leaves batches in reference cycles, as Keras on torch does. They would fill
        the GPU before Python's garbage collector comes by itself.
    """

    def __init__(
        self,
        device: Device,
        ring: Ring,
        *,
        waiting: int,
        fixed: bool,
        ordered: bool,
        leaves_cycles: bool = False,
    ) -> None:
        if fixed and waiting < 2:
            raise ArgumentError(
                "stable_addresses needs device_queue_size=2 or more: while you use one buffer, "
                "the next batch is written into another.",
                f"device_queue_size={waiting}",
            )
        self.pinning = Pinning(device)
        buffers = waiting if fixed else waiting + HANDED_OUT
        self._uploader = Uploader(device, ring, waiting, buffers, fixed, ordered)
        self._fixed_bytes = 0 if fixed else None
        self._starved_since: float | None = None
        self._last_counts: dict[str, int] = {}
        self._most_in_use = buffers + 1 if leaves_cycles else None

    # -- slots ------------------------------------------------------------------------------

    @property
    def node(self) -> int:
        """The memory node next to the GPU."""
        return self.pinning.node

    def announce(self, number: int, segment: Segment) -> None:
        """Page-lock a segment and take batches from it.

        Raises
        ------
        DeviceError
            The addresses are to be stable, and batches have become larger.
        """
        if self._fixed_bytes:
            raise DeviceError(
                f"With stable_addresses every batch must fit into a buffer of the first one's "
                f"size, {gib(self._fixed_bytes)}, and now one of {gib(segment.stride)} came. Give "
                "the source a spec with the largest shapes, or leave out stable_addresses."
            )
        if self._fixed_bytes is not None:
            self._fixed_bytes = segment.stride
        self.pinning.announce(number, segment)
        self._uploader.use(number, segment, bool(self.pinning.pinned))

    def retire(self, number: int) -> None:
        """Forget a segment that no ticket names any more."""
        self._uploader.forget(number)

    # -- batches ----------------------------------------------------------------------------

    @property
    def taken(self) -> int:
        """Batches that `take` and `take_wait` have returned."""
        return self._uploader.taken

    def take(self) -> Batch | None:
        """Return a batch that has arrived, or is passed on as it is."""
        self._starved_since = None  # of a wait that ended by an exception
        if self._most_in_use is not None and self._uploader.in_use > self._most_in_use:
            self._collect_garbage(self._most_in_use)
        return self._uploader.take()

    def _collect_garbage(self, most: int) -> None:
        """Free batches in cycles; where that helps nothing, the user keeps that many."""
        gc.collect(0)
        if self._uploader.in_use > most:
            self._most_in_use = 2 * self._uploader.in_use

    def take_wait(self, monitor: Monitor | None, deaths_seen: int) -> Batch | None:
        """Return the same after a sleep, which may end early.

        Raises
        ------
        DeviceError
            The driver failed, or a fixed buffer does not become free.
        """
        batch = self._uploader.take_wait(monitor, deaths_seen)
        self._check_starved(batch is None and self._uploader.is_starved)
        return batch

    def upload(self, lease: Lease, batch: Batch) -> DeviceLease:
        """Upload a batch that lies in no slot."""
        while (sent := self._uploader.send(lease, batch.data_bytes, batch)) is None:
            self._check_starved(True)
            time.sleep(0.001)
        return sent

    def _check_starved(self, starved: bool) -> None:
        if not starved:
            self._starved_since = None
        elif self._starved_since is None:
            self._starved_since = time.monotonic()
            gc.collect(0)
        elif time.monotonic() - self._starved_since > PATIENCE_S:
            raise DeviceError(
                f"For {PATIENCE_S:g} s no batch could be uploaded. With stable_addresses the next "
                "one has to go where an earlier one lies that is still referenced: drop each batch "
                "before you ask for the one after the next, or raise device_queue_size. Without "
                "it, a stream is being captured into a graph, which keeps the GPU from being "
                "waited for: end the capture before you ask for a batch."
            )

    def find(self, pointer: int) -> DeviceLease | None:
        """Return a lease more on the buffer that an array of the caller's lies in."""
        return self._uploader.find(pointer)

    def skip_below(self, sequence: int) -> None:
        """Do not upload batches of a loop that was left."""
        self._uploader.skip_below(sequence)

    # -- all of it --------------------------------------------------------------------------

    def counts(self) -> dict[str, int]:
        """Return the running totals; after the end the last ones."""
        try:
            return self._uploader.counts
        except CoreError:  # stopped, perhaps by another thread just now
            return self._last_counts

    def close(self) -> None:
        """End the thread. Batches that were handed out stay valid, and are counted no more."""
        if not self._last_counts:
            now = dict.fromkeys(("waiting", "buffers", "buffer_bytes"), 0)
            self._last_counts = self._uploader.counts | now
        self._uploader.stop()
