"""What ``Loader.stats()`` returns."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Stats:
    """A loader's running totals since it was made.

    Attributes
    ----------
    batches : int
        Batches handed out.
    bytes : int
        Bytes of their arrays.
    wait_seconds : float
        Time that ``next()`` spent waiting because no batch was ready (with ``workers=0``: the
        whole making).
    ready : int
        Batches that are finished and wait to be taken, now.
    worker_restarts : int
        Worker processes that died and were replaced.
    workers : int
        Workers, 0 for the calling thread.
    slots, slot_bytes : int
        Batches that fit into shared memory at the same time, and bytes of each (0 until the first
        batch has shown how large they are).
    """

    batches: int
    bytes: int
    wait_seconds: float
    ready: int
    worker_restarts: int
    workers: int
    slots: int
    slot_bytes: int
