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
from fastfeed.workers.clocks import thread_clock
from fastfeed.workers.inline import LocalPool
from fastfeed.workers.pool import Roster
from fastfeed.workers.work import Work

PATIENCE_S = 0.8


def share(source: Source, worker: int) -> Source:
    """Return the source for one thread: its own where each has a stream of its own."""
    own = source if source.shards is None else copy.copy(source)
    own.open(worker)
    return own


class ThreadPool(LocalPool):
    """Threads on one source.

    Parameters
    ----------
    size, most : int
        Threads at first, and the most that there may be: numbers that the ring has.
    """

    def __init__(self, ring: Ring, source: Source, seed: int, size: int, most: int = 0) -> None:
        super().__init__()
        self.size = size
        self._ring = ring
        self._source = source
        self._seed = seed
        self._roster = Roster(size, max(size, most))
        self._threads = {worker: self._thread(worker) for worker in self.workers}

    def _thread(self, worker: int) -> threading.Thread:
        source = share(self._source, worker)
        work = Work(self._ring, worker, source, self._seed, self._room.view(), seeds="none")
        return threading.Thread(target=work.run, name=f"fastfeed-worker-{worker}", daemon=True)

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads.values():
            thread.start()

    @property
    def workers(self) -> list[int]:
        """The numbers of the threads that are to stay, in order."""
        return self._roster.numbers()

    def add(self, count: int) -> None:
        """Start more threads; fewer while others that go home have their numbers.

        Raises
        ------
        RuntimeError
            If the system gives no more. Those that were started stay.
        """
        self.tend()
        new = self._roster.join(count, self._threads)
        try:
            for worker in new:
                self._threads[worker] = self._thread(worker)
                self._threads[worker].start()
        finally:
            for worker in new:
                self._forget_unless_alive(worker)
            self.size = len(self._roster)

    def _forget_unless_alive(self, worker: int) -> None:
        thread = self._threads.get(worker)
        if thread is None or not thread.is_alive():
            self._threads.pop(worker, None)
            self._roster.leave(worker)

    def drain(self, worker: int) -> None:
        """Let a thread go home after the batch in hand."""
        self._roster.leave(worker)
        self.size = len(self._roster)
        self._ring.stop_worker(worker)

    def clocks(self) -> dict[int, int]:
        """Return a clock for each thread that is at work."""
        ids = {worker: thread.native_id for worker, thread in self._threads.items()}
        return {worker: thread_clock(number) for worker, number in ids.items() if number}

    def tend(self) -> None:
        """Make sure that somebody is working; free the numbers of those that have gone home.

        Raises
        ------
        WorkersLost
            If a thread has ended by an error in fastfeed itself.
        """
        for worker, thread in list(self._threads.items()):
            if thread.is_alive():
                continue
            if worker in self._roster:
                raise WorkersLost(
                    f"{thread.name} has ended unexpectedly; its traceback was printed above."
                )
            del self._threads[worker]
            self._ring.reclaim(worker, 0)
            self._ring.reset_worker(worker)

    def close(self) -> None:
        """Stop the threads; wait a moment for those in the middle of an item."""
        self._ring.stop()
        deadline = time.monotonic() + PATIENCE_S
        for thread in self._threads.values():
            if thread.is_alive() and thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))
        self._room.clear()
