"""Workers that are threads of this process (``use_multiprocessing=False``).

They share the user's source, so its ``__getitem__`` must be safe to call from several threads, as
with Keras. They can neither die nor be killed: closing waits a moment and then leaves a thread that
is stuck in the user's code behind as a daemon, which ends with its item.
"""

from __future__ import annotations

import copy
import threading
import time

from fastfeed._core import Ring
from fastfeed.errors import WorkersLost
from fastfeed.sources.base import Source
from fastfeed.workers.inline import LocalPool
from fastfeed.workers.work import Work

PATIENCE_S = 0.8


def share(source: Source, worker: int) -> Source:
    """Return the source for one thread: its own where each has a stream of its own."""
    own = source if source.shards is None else copy.copy(source)
    own.open(worker)
    return own


class ThreadPool(LocalPool):
    """`size` threads on one source."""

    def __init__(self, ring: Ring, source: Source, seed: int, size: int) -> None:
        super().__init__()
        self.size = size
        self._ring = ring
        self._threads = [
            threading.Thread(
                target=Work(
                    ring, worker, share(source, worker), seed, self._room.view(), seeds="none"
                ).run,
                name=f"fastfeed-worker-{worker}",
                daemon=True,
            )
            for worker in range(size)
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def tend(self) -> None:
        """Make sure that somebody is working.

        Raises
        ------
        WorkersLost
            If a thread has ended by an error in fastfeed itself.
        """
        for thread in self._threads:
            if not thread.is_alive():
                raise WorkersLost(
                    f"{thread.name} has ended unexpectedly; its traceback was printed above."
                )

    def close(self) -> None:
        """Stop the threads; wait a moment for those in the middle of an item."""
        self._ring.stop()
        deadline = time.monotonic() + PATIENCE_S
        for thread in self._threads:
            if thread.is_alive() and thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))
        self._room.clear()
