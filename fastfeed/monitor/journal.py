"""What a loader writes down about itself, read from this process or another.

Times are ns of ``time.monotonic_ns()``, the same clock in all processes of a machine; 0 where
something did not happen. Durations are ns too.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastfeed._core import RECORD_BYTES, Journal
from fastfeed.errors import CoreError, FastFeedError

MEMORY = "/memfd:fastfeed-ring"
"""What a link in ``/proc/PID/fd`` to a ring's memory begins with."""

RECORD = np.dtype(
    [
        ("sequence", "<u8"),
        ("index", "<u8"),
        ("epoch", "<u4"),
        ("worker", "<u2"),
        ("attempt", "u1"),
        ("kind", "u1"),
        ("bytes", "<u8"),
        ("posted_ns", "<i8"),
        ("started_ns", "<i8"),
        ("made_ns", "<i8"),
        ("upload_ns", "<i8"),
        ("uploaded_ns", "<i8"),
        ("asked_ns", "<i8"),
        ("answered_ns", "<i8"),
        ("order_wait_ns", "<i8"),
        ("upload_wait_ns", "<i8"),
        ("work_ns", "<i8"),
    ]
)
"""One batch that was handed out, or an error raised in its place (``csrc/journal.h``).

sequence
    Number of its ticket; tickets count on from epoch to epoch.
index, epoch
    The item, and the pass over the source.
worker, attempt, kind
    Who made it; tries before this one; `DATA`, `EXCEPTION` or `CRASHED` of `fastfeed._core`.
bytes
    Of its arrays.
posted_ns, started_ns, made_ns
    The ticket was posted, claimed by a worker, and published by it. Of several workers that made
    parts of the batch: the one who was ready last.
upload_ns, uploaded_ns
    The copy to the GPU was issued, and seen done.
asked_ns, answered_ns
    The consumer asked for a batch, and had this one.
order_wait_ns, upload_wait_ns
    Of the time between the two: another batch was finished and this one was not; this one was made
    and not on the GPU. The rest was waited for its production.
work_ns
    Spent on making it, by all who made a part of it.
"""
assert RECORD.itemsize == RECORD_BYTES

Records = npt.NDArray[Any]
"""An array of `RECORD`."""


class MonitorError(FastFeedError, RuntimeError):
    """There is no loader to look at, or not for this user."""


@dataclass(frozen=True)
class WorkerNow:
    """One worker, at this moment.

    Attributes
    ----------
    worker : int
    pid : int
        Of its process (a thread's: the parent); 0: it has not started, or is gone.
    making_since_ns : int
        When it began with what it makes now; 0: it has nothing to do.
    index, epoch : int
        Of what it makes, or has made last.
    busy_ns, batches, bytes : int
        All the time that it made batches, how many, and the bytes of their arrays.
    """

    worker: int
    pid: int
    making_since_ns: int
    index: int
    epoch: int
    busy_ns: int
    batches: int
    bytes: int


@dataclass(frozen=True)
class Totals:
    """A loader's running totals.

    Attributes
    ----------
    started_ns : int
        When it was made.
    first_batch_ns : int
        From then to the first batch in the consumer's hands; 0: there was none yet.
    batches, bytes : int
        Handed out.
    wait_ns, order_wait_ns, upload_wait_ns : int
        Waited for batches; and the parts of it as in `RECORD`.
    step_ns, steps : int
        The consumer's own time between two batches of an epoch, and how often.
    waiting_since_ns : int
        It waits for a batch, since then; 0: it does not.
    failed : int
        Samples that could not be read.
    epoch : int
        Of the last batch.
    ahead : int
        Batches ahead of the consumer, at the most, now.
    ready, outstanding : int
        Batches finished and not taken, now; batches posted and not taken.
    """

    started_ns: int
    first_batch_ns: int
    batches: int
    bytes: int
    wait_ns: int
    order_wait_ns: int
    upload_wait_ns: int
    step_ns: int
    steps: int
    failed: int
    waiting_since_ns: int
    epoch: int
    ahead: int
    ready: int
    outstanding: int

    @property
    def production_wait_ns(self) -> int:
        """Waited for batches that nobody had made yet, with nothing else finished either."""
        return self.wait_ns - self.order_wait_ns - self.upload_wait_ns


class View:
    """A look at one loader, which does not disturb it. Stays valid when the loader has ended.

    Parameters
    ----------
    pid : int
        The process that it belongs to.
    fd : int
        The ring's memfd, open for reading; it stays the caller's.

    Attributes
    ----------
    name : str
        What is fed: a class or a function.
    ordered : bool
        Batches come in the order of their index.
    inline : bool
        The consumer makes them itself (``workers=0``).

    Raises
    ------
    CoreError
        EPROTO: the memory is of another version of fastfeed.
    """

    def __init__(self, pid: int, fd: int) -> None:
        self.pid = pid
        self._journal = Journal(fd)
        self.name = self._journal.name
        self.ordered = self._journal.ordered
        self.inline = self._journal.inline

    def totals(self) -> Totals:
        """Return the running totals."""
        raw = self._journal.totals()
        return Totals(
            started_ns=self._journal.started_ns,
            first_batch_ns=raw["first_batch_for"],
            batches=raw["batches"],
            bytes=raw["bytes"],
            wait_ns=raw["wait_for"],
            order_wait_ns=raw["order_wait_for"],
            upload_wait_ns=raw["upload_wait_for"],
            step_ns=raw["step_for"],
            steps=raw["steps"],
            failed=raw["failed"],
            waiting_since_ns=raw["waiting_since_ns"],
            epoch=raw["epoch"],
            ahead=raw["ahead"],
            ready=self._journal.ready,
            outstanding=self._journal.outstanding,
        )

    def workers(self) -> list[WorkerNow]:
        """Return what each worker does; with ``workers=0`` the calling thread is the only one."""
        return [
            WorkerNow(worker, **self._journal.worker(worker))
            for worker in range(self._journal.workers)
        ]

    def records(self, since: int = 0) -> Records:
        """Return the last batches, as many as there still are, in the order handed out.

        Parameters
        ----------
        since : int
            Only those whose ticket has this number or a higher one.

        Returns
        -------
        array of RECORD, shape (n,)
            A copy; at most 16,384.
        """
        records = np.frombuffer(self._journal.records(since), RECORD).copy()
        records["sequence"] -= 1  # the stamp is one more, so that 0 means none
        return records[np.argsort(records["answered_ns"], kind="stable")]


def views_of(pid: int) -> list[View]:
    """Return a view of each loader of a process, oldest first.

    Raises
    ------
    MonitorError
        There is no such process, it is another user's, or it has no loader (of this version).
    """
    folder = f"/proc/{pid}/fd"
    found: dict[int, View] = {}
    try:
        for fd in os.listdir(folder):
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                _add_view(found, pid, f"{folder}/{fd}")
    except FileNotFoundError:
        raise MonitorError(f"There is no process {pid}; it may have ended.") from None
    except PermissionError:
        raise MonitorError(
            f"Process {pid} may not be looked at: it is another user's, or this container forbids "
            "it. Use that user, or root outside."
        ) from None
    if not found:
        raise MonitorError(
            f"Process {pid} has no fastfeed loader. Give the process that makes the Loader, not a "
            "worker; before its first loop it may not have one yet, and after close() no more."
        )
    return sorted(found.values(), key=lambda view: view.totals().started_ns)


def _add_view(found: dict[int, View], pid: int, link: str) -> None:
    """Add the view of a descriptor, if it is one of a ring that was not found before."""
    if not os.readlink(link).startswith(MEMORY):
        return
    fd = os.open(link, os.O_RDONLY | os.O_CLOEXEC)
    try:
        memory = os.fstat(fd).st_ino
        if memory not in found:
            found[memory] = View(pid, fd)
    except CoreError as error:
        raise MonitorError(
            f"The loader of process {pid} is of another version of fastfeed than this command: "
            "use the one that is installed for that process."
        ) from error
    finally:
        os.close(fd)
