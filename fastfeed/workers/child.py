"""What runs first in a worker process, forked from the fork server."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import sys
import traceback
from typing import Any, NoReturn

from fastfeed._core import Claim, Mapping, Memory, Ring, create_memory, headroom, start_lifeline
from fastfeed.errors import CoreError, OutOfMemory, gib
from fastfeed.sources.base import Item, Source, Writer
from fastfeed.workers import payload
from fastfeed.workers.failures import pack
from fastfeed.workers.forkserver import receive_message, send_message
from fastfeed.workers.work import Work

PAGE = 4096
AT_ONCE = 16 << 20
"""Bytes of a segment whose pages are made ready all at once, in 4 ms."""
LIMITS = ""
"""Folder in which the kernel's limits of memory are looked up; the tests' stand in another."""


def main(worker_fd: int, parent_pidfd: int) -> NoReturn:
    """Live and die as a worker. Never returns into the fork server's code."""
    status = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        os.setpgid(0, 0)  # programs that the source starts are in this group, and end with it
        start_lifeline(parent_pidfd, worker_fd)
        work(socket.socket(fileno=worker_fd))
        status = 0
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # the parent is gone: nobody to tell
    except BaseException:
        traceback.print_exc()
    finally:
        leave(status)


def leave(status: int) -> NoReturn:
    """End this process, and what the source has left running in it: a pool of its own, perhaps."""
    try:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with contextlib.suppress(ProcessLookupError):  # it did not get as far as its own group
            os.killpg(os.getpid(), signal.SIGTERM)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:  # also if nobody reads the output any more
        os._exit(status)


def work(link: socket.socket) -> None:
    """Receive what to do, then do it until told to stop."""
    task, (ring_fd, setting_fd, source_fd, *sources_own) = receive_message(link)
    settle(payload.unpack(setting_fd))
    os.close(setting_fd)
    ring_mapping = Mapping(ring_fd, keep_private=True)
    os.close(ring_fd)
    room = ProcessRoom(link)
    source = load(source_fd, task["worker"], sources_own)
    send_message(link, {"ready": True}, [])
    ring = Ring.attach(ring_mapping)
    try:
        Work(ring, task["worker"], source, task["seed"], room, seeds="own").run()
        source.leave()
    except CoreError as error:
        if error.errno != errno.ECANCELED:  # declared dead while alive: others do our work now
            raise


def settle(setting: dict[str, Any]) -> None:
    """Take over the parent's surroundings."""
    os.environ.clear()
    os.environ.update(setting["environment"])
    os.chdir(setting["folder"])
    sys.path[:] = setting["path"]
    sys.argv[:] = setting["argv"]


def load(fd: int, worker: int, descriptors: list[int]) -> Source:
    """Unpack the source; if that fails, every item of this worker raises the reason."""
    try:
        source = payload.unpack(fd)
        source.adopt(descriptors)
        source.open(worker)
    except BaseException as error:
        return FailingSource(error)
    finally:
        os.close(fd)
    assert isinstance(source, Source)
    limit_opencv()
    return source


def limit_opencv() -> None:
    """OpenCV reads no environment variable for its thread pool in all builds: tell it."""
    cv2: Any = sys.modules.get("cv2")
    if cv2 is not None:
        cv2.setNumThreads(1)


class FailingSource(Source):
    """Stands in for a source that could not be loaded, so that the reason arrives in order."""

    def __init__(self, error: BaseException) -> None:
        self._error = error
        error.add_note("The source could not be loaded in the worker process.")

    def make(self, item: Item, writer: Writer) -> None:
        """Raise the reason."""
        raise self._error


class ProcessRoom:
    """A worker process's `Room`: segments come through the socket, spills leave through it."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._segments: dict[int, Mapping] = {}
        self._large: dict[int, set[int]] = {}  # number -> the slots that are ready
        self._spill_fd = -1

    def slot(self, claim: Claim) -> Memory:
        """Return the segment that a ticket names. The parent sent it before the ticket."""
        while claim.segment not in self._segments:
            self._receive_segment()
        if self._large:
            self._populate(claim)
        return self._segments[claim.segment]

    def _receive_segment(self) -> None:
        message, fds = receive_message(self._link)
        for old in message["retired"]:
            self._segments.pop(old, None)
            self._large.pop(old, None)
        is_large = os.fstat(fds[0]).st_size > AT_ONCE
        segment = Mapping(fds[0], keep_private=True, lazily=is_large)
        os.close(fds[0])
        self._segments[message["segment"]] = segment
        if is_large:
            self._large[message["segment"]] = set()

    def _populate(self, claim: Claim) -> None:
        """Make a slot's pages ready before its first batch: those of all would hold up that one."""
        ready = self._large.get(claim.segment)
        if ready is not None and claim.offset not in ready:
            ready.add(claim.offset)
            self._segments[claim.segment].populate(claim.offset, claim.capacity)

    def spill(self, n_bytes: int) -> Memory:
        """Return a memfd of our own."""
        if self._spill_fd >= 0:  # of an item that failed half way
            os.close(self._spill_fd)
            self._spill_fd = -1
        try:
            self._spill_fd = create_memory("fastfeed-spill", -(-n_bytes // PAGE) * PAGE, LIMITS)
        except MemoryError as error:
            raise OutOfMemory(
                f"A batch of {gib(n_bytes)} needs as much shared memory, but only "
                f"{gib(headroom(LIMITS))} may be used (four fifths of what is free here or in this "
                "container). Lower the batch size, or end other programs."
            ) from error
        return Mapping(self._spill_fd, keep_private=True)

    def send_spill(self, sequence: int) -> None:
        """Give it to the parent, who finds it when the ticket comes out."""
        send_message(self._link, {"spill": sequence}, [self._spill_fd])
        os.close(self._spill_fd)
        self._spill_fd = -1

    def pack_failure(self, error: BaseException, sequence: int) -> bytes:
        """Pickle an exception."""
        return pack(error)
