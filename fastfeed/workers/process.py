"""Worker processes: started through the fork server, watched, replaced when they die."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from fastfeed._core import Batch, Lease, Monitor, Ring, Segment
from fastfeed.errors import WorkerCrashed, WorkersLost
from fastfeed.sources.base import Source
from fastfeed.workers import payload
from fastfeed.workers.clocks import process_clock
from fastfeed.workers.failures import crash, ending, unpack
from fastfeed.workers.forkserver import (
    ENVIRONMENT,
    readable,
    receive_message,
    search_path,
    send_message,
    server,
)
from fastfeed.workers.pool import Roster

PATIENCE_S = 0.5
"""Workers in the middle of an item get this long to finish when the loader is closed."""
RETRIES = 2
"""An item that killed its worker is given to two more before the parent gives up on it."""
STILLBIRTHS = 3
"""So many workers in a row that die before they are ready mean that none ever will be."""


@dataclass
class Process:
    """One worker process and the parent's end of its socket."""

    worker: int
    pid: int
    pidfd: int
    link: socket.socket
    ready: bool = False
    spills: dict[int, int] = field(default_factory=dict)  # ticket -> descriptor

    def read_messages(self) -> None:
        """Take in what the worker has sent; never waits."""
        while readable(self.link, 0):
            try:
                message, fds = receive_message(self.link)
            except ConnectionResetError:
                continue  # said once, if it died with mail unread; what it sent before comes next
            except EOFError:
                return
            if "spill" in message:
                self.spills[message["spill"]] = fds[0]
            else:
                self.ready = True

    def send(self, message: dict[str, Any], fds: list[int]) -> None:
        """Send a message, if it is still alive; of a death the monitor tells."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            send_message(self.link, message, fds)

    def hang_up(self) -> None:
        """Let its lifeline end it, and what it has started."""
        with contextlib.suppress(OSError):  # it was faster
            self.link.shutdown(socket.SHUT_RDWR)

    def kill(self) -> None:
        """End it now."""
        try:
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        except ProcessLookupError:
            pass  # it was faster

    def release(self) -> None:
        """Close every descriptor that belongs to it."""
        self.link.close()
        os.close(self.pidfd)
        for fd in self.spills.values():
            os.close(fd)


class ProcessPool:
    """Worker processes on one source.

    Parameters
    ----------
    ring, ring_fd : Ring, int
        The ring and the memfd that it lies in; the descriptor stays the caller's.
    size, most : int
        Processes at first, and the most that there may be: numbers that the ring has.
    environment : dict of str to str
        Added to the environment of the workers.
    """

    def __init__(
        self,
        ring: Ring,
        ring_fd: int,
        source: Source,
        seed: int,
        size: int,
        environment: dict[str, str],
        most: int = 0,
    ) -> None:
        self.size = size
        self.restarts = 0
        self.deaths_seen = 0
        self._roster = Roster(size, max(size, most))
        self._ring = ring
        self._ring_fd = ring_fd
        self._source = source
        self._seed = seed
        self._server = server(modules_to_preload(source, environment))
        self._server.start()  # it gets ready while the source is packed and slots are made
        with contextlib.ExitStack() as undo:
            self._source_fd = payload.ship(source)
            undo.callback(os.close, self._source_fd)
            self._setting_fd = payload.ship(setting(environment))
            undo.pop_all()
        self._processes: dict[int, Process] = {}
        self._departed: list[Process] = []  # dead, but what they published is still to be taken
        self._exitcodes: dict[int, int | None] = {}
        self._stillborn: list[int | None] = []  # exit codes
        self._segments: dict[int, int] = {}  # number -> descriptor, while a ticket may name it
        self._retired: list[int] = []  # segments that the workers may still have mapped
        self.monitor: Monitor | None = Monitor(ring, RETRIES if source.repeatable else 0)

    # -- life -------------------------------------------------------------------------------

    def start(self) -> None:
        """Start all workers."""
        for worker in self.workers:
            self._start(worker)

    @property
    def workers(self) -> list[int]:
        """The numbers of the workers that are to stay, in order."""
        return self._roster.numbers()

    def add(self, count: int) -> None:
        """Start more workers; fewer while others that go home have their numbers.

        Raises
        ------
        WorkersLost, OSError
            If the system gives no more processes or descriptors. Those that were started stay.
        """
        self.tend()
        self._roster.join(count, self._processes)
        try:
            for worker in self._missing():
                self._start(worker)
        finally:
            for worker in self._missing():
                self._roster.leave(worker)
            self.size = len(self._roster)

    def drain(self, worker: int) -> None:
        """Let a worker go home after the batch in hand."""
        self._roster.leave(worker)
        self.size = len(self._roster)
        self._ring.stop_worker(worker)

    def clocks(self) -> dict[int, int]:
        """Return a clock for each process that is at work."""
        return {worker: process_clock(p.pid) for worker, p in self._processes.items()}

    def _start(self, worker: int) -> None:
        try:
            process = self._fork(worker)
        except WorkersLost:  # somebody has killed the server; the next call starts another
            process = self._fork(worker)
        self._processes[worker] = process
        task = {"worker": worker, "seed": self._seed}
        common = [self._ring_fd, self._setting_fd, self._source_fd]
        process.send(task, [*common, *self._source.descriptors()])
        for number in self._segments:
            self._send_segment(process, number)
        assert self.monitor is not None
        self.monitor.watch(worker, os.dup(process.pidfd))

    def _fork(self, worker: int) -> Process:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            return Process(worker, *self._server.spawn(theirs), ours)

    def tend(self) -> None:
        """Replace workers that died, but not those that were to go home.

        Raises
        ------
        WorkersLost
            If they die before they are ready, again and again.
        """
        assert self.monitor is not None
        deaths = self.monitor.deaths
        if deaths == self.deaths_seen:
            return
        while (worker := self.monitor.next_death()) is not None:
            self._bury(worker)
        self._refuse_stillbirths()
        for worker in self._missing():
            self._start(worker)
            self.restarts += 1
        self.deaths_seen = deaths  # only now: whatever interrupts this, the next call goes on

    def _missing(self) -> list[int]:
        return [worker for worker in self.workers if worker not in self._processes]

    def _bury(self, worker: int) -> None:
        process = self._processes.pop(worker)
        process.read_messages()
        self._departed.append(process)
        self._forget_departed()
        self._exitcodes[worker] = self._server.exitcode(process.pid)
        if worker not in self._roster:
            self._ring.reset_worker(worker)  # another may have the number: what it held is open
        elif process.ready:
            self._stillborn.clear()
        else:
            self._stillborn.append(self._exitcodes[worker])

    def _refuse_stillbirths(self) -> None:
        if len(self._stillborn) >= STILLBIRTHS:
            raise WorkersLost(
                f"{len(self._stillborn)} worker processes in a row ended before they could start, "
                f"the last one by {ending(self._stillborn[-1])}. Their error messages are on the "
                "terminal; a kill by signal 9 often means that memory ran out."
            )

    def crash(self, batch: Batch) -> WorkerCrashed:
        """Return the error for an item that kills its workers."""
        self.tend()  # its last worker may not have been buried yet
        return crash(batch, self._exitcodes.get(batch.worker), self._source.repeatable)

    # -- memory -----------------------------------------------------------------------------

    def announce(self, number: int, segment: Segment, fd: int) -> None:
        """Send a new segment to every worker, and keep it for those that start later."""
        self._segments[number] = os.dup(fd)
        for process in self._processes.values():
            self._send_segment(process, number)
        self._retired.clear()

    def retire(self, number: int) -> None:
        """Drop a segment here; the workers hear of it together with the next one."""
        os.close(self._segments.pop(number))
        self._retired.append(number)

    def _send_segment(self, process: Process, number: int) -> None:
        message = {"segment": number, "retired": self._retired}
        process.send(message, [self._segments[number]])

    def collect(self, batch: Batch) -> Lease:
        """Return the segment that came with a spilled batch."""
        fd = self._find_spill(batch)
        try:
            segment = Segment(fd, os.fstat(fd).st_size, 1)
        finally:
            os.close(fd)
        return segment.lease(segment.acquire())

    def _find_spill(self, batch: Batch) -> int:
        """Return the descriptor that came with a batch. An earlier attempt at it may have sent one
        too and died: the last worker of the number that published it has the right one.
        """
        senders = [*self._processes.values(), *reversed(self._departed)]
        senders.sort(key=lambda process: process.worker != batch.worker)
        for process in senders:
            process.read_messages()
        fds = [p.spills.pop(batch.sequence) for p in senders if batch.sequence in p.spills]
        for unwanted in fds[1:]:
            os.close(unwanted)
        self._forget_departed()
        if not fds:
            raise WorkersLost(
                f"Worker {batch.worker} published batch {batch.index} but its memory never came."
            )
        return fds[0]

    def _forget_departed(self) -> None:
        for process in self._departed:
            if not process.spills:
                process.release()
        self._departed = [process for process in self._departed if process.spills]

    def failure(self, batch: Batch, note: bytes) -> BaseException:
        """Return the exception that a worker published."""
        return unpack(note, batch.worker, batch.index, batch.epoch)

    # -- the end ----------------------------------------------------------------------------

    def close(self) -> None:
        """Stop the workers; end those that are still busy after a moment."""
        processes = list(self._processes.values())
        self._ring.stop()
        wait_for(processes, PATIENCE_S)
        for process in processes:
            process.hang_up()
        wait_for(processes, PATIENCE_S)
        for process in processes:
            process.kill()  # it was stopped by a signal: its lifeline could not run
        wait_for(processes, PATIENCE_S)
        if self.monitor is not None:
            self.monitor.stop()
        for process in [*self._processes.values(), *self._departed]:
            process.release()
        self._processes.clear()
        self._departed.clear()
        for fd in [self._source_fd, self._setting_fd, *self._segments.values()]:
            os.close(fd)


def setting(environment: dict[str, str]) -> dict[str, Any]:
    """Return what workers take over from this process before they unpack the source.

    The fork server may be older than what the script has set since.
    """
    return {
        "environment": {**os.environ, **ENVIRONMENT, **environment},
        "folder": os.getcwd(),
        "path": search_path(),
        "argv": sys.argv,
    }


def modules_to_preload(source: Source, environment: dict[str, str]) -> tuple[str, ...]:
    """Return ``("keras",)`` for a Keras Sequence or PyDataset, unless the user wants another
    backend in the workers: importing keras costs each of them 1.4 s otherwise.
    """
    classes = type(getattr(source, "items", None)).__mro__
    is_keras = any(cls.__module__.partition(".")[0] == "keras" for cls in classes)
    return ("keras",) if is_keras and "KERAS_BACKEND" not in environment else ()


def wait_for(processes: list[Process], timeout_s: float) -> None:
    """Wait until all processes have ended, at most `timeout_s` seconds."""
    deadline = time.monotonic() + timeout_s
    poller = select.poll()
    for process in processes:
        poller.register(process.pidfd, select.POLLIN)
    remaining = len(processes)
    while remaining and (left := deadline - time.monotonic()) > 0:
        for pidfd, _ in poller.poll(left * 1000):
            poller.unregister(pidfd)
            remaining -= 1
