"""The thread that writes samples to a cache on disk, while its worker makes more of them."""

from __future__ import annotations

import threading
import warnings
from typing import Any

from fastfeed.caching.folder import disk_bytes, file_bytes
from fastfeed.errors import gib

PAGE = 4096

PENDING_BYTES = 64 << 20
"""A worker that is faster than the disk waits when so much is to be written."""
SPARE_BYTES = 1 << 30
"""So much of the disk, or a twentieth of it, is left to others: a full one would stop the job's
own checkpoints."""


class CacheWriter:
    """Commits what was added, all at once, again and again: with each commit the disk is waited
    for, so that a crash at any moment leaves whole samples.

    Parameters
    ----------
    environment : lmdb.Environment
    folder : str
    budget : int, optional
        Bytes that the file may have.
    """

    def __init__(self, environment: Any, folder: str, budget: int | None) -> None:
        self._environment = environment
        self._folder = folder
        self._budget = budget
        self._changed = threading.Condition()
        self._pending: dict[bytes, bytearray] = {}
        self._in_hand: dict[bytes, bytearray] = {}  # being committed
        self._pending_bytes = 0
        self._is_closed = False
        self._thread: threading.Thread | None = None
        self.is_full = False

    def add(self, key: bytes, value: bytearray) -> None:
        """Write a value soon."""
        with self._changed:
            self._changed.wait_for(lambda: self._pending_bytes < PENDING_BYTES or self._is_closed)
            if self._is_closed:
                return
            self._pending[key] = value
            self._pending_bytes += len(value)
            self._changed.notify_all()
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="fastfeed cache", daemon=True
                )
                self._thread.start()

    def get(self, key: bytes) -> bytearray | None:
        """Return a value that is not committed yet; None: it is, or it was not added here."""
        with self._changed:
            return self._pending.get(key, self._in_hand.get(key))

    def close(self) -> None:
        """Write what is left, and end the thread."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._pending or self._is_closed)
                if not self._pending:
                    return
                self._in_hand, size = self._pending, self._pending_bytes
                self._pending = {}
            try:
                if not self.is_full:
                    self._commit(self._in_hand)
            finally:  # also where a warning is an error: who waits in `add` would wait for ever
                with self._changed:
                    self._in_hand = {}
                    self._pending_bytes -= size
                    self._changed.notify_all()

    def _commit(self, batch: dict[bytes, bytearray]) -> None:
        """Write what there is room for."""
        try:
            room, reason = self._room()
            with self._environment.begin(write=True) as transaction:
                for key, value in batch.items():
                    room -= pages(len(value))
                    if room < 0:
                        break
                    transaction.put(key, value, overwrite=False)
        except Exception as error:  # whatever it is, training can go on without
            room, reason = -1, f"{error}{left_on_disk(self._folder)}"
        if room < 0:
            self.is_full = True
            size = file_bytes(self._environment)
            warnings.warn(
                f"The cache in {self._folder} stops growing at {gib(size)}: {reason}. Training "
                "goes on; samples that are not in it are made again in each epoch.",
                RuntimeWarning,
                stacklevel=2,
            )

    def _room(self) -> tuple[int, str]:
        """Return how many bytes may be written, and what it is that sets this limit."""
        free, total = disk_bytes(self._folder)
        on_disk = free - min(SPARE_BYTES, total // 20)
        if self._budget is None:
            return on_disk, f"the disk has {gib(free)} left"
        in_budget = self._budget - file_bytes(self._environment)
        if in_budget < on_disk:
            return in_budget, f"cache_budget is {gib(self._budget)}"
        return on_disk, f"the disk has {gib(free)} left"


def pages(n_bytes: int) -> int:
    """Return what a value takes in the file, with its share of the tree."""
    return (n_bytes // PAGE + 2) * PAGE


def left_on_disk(folder: str) -> str:
    """Say how much room there is, if there is still a folder."""
    try:
        return f" (the disk has {gib(disk_bytes(folder)[0])} left)"
    except OSError:
        return ""
