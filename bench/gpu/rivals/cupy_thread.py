"""A Python thread that uploads fastfeed's host batches with CuPy: what a careful user writes.

Like fastfeed's own: a stream of its own, few buffers used again behind events, at most two batches
on the device ahead. But it needs Python's lock for every call. Host memory is pageable, as that of
a `fastfeed.Loader` without a device is; with ``registered`` the thread page-locks each slot when it
sees it for the first time.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import cupy
import numpy as np
import torch

import fastfeed
from bench.gpu.lane import QUEUE, Task
from bench.sources import Source

AHEAD = 2  # batches on the device that wait to be taken
IN_FLIGHT = 1  # copies that go on while the next batch is fetched
TO_DEVICE = 1  # cudaMemcpyHostToDevice
PORTABLE = 1  # cudaHostRegisterPortable
PAGE = 4096
UNREGISTERED = 24  # first batches: the very first does not lie in a slot
LOOK_EVERY = 0.1  # seconds after which the thread looks whether it is to end
JOIN = 5.0  # seconds for its end; it may wait for a buffer that a consumer who left still has


@dataclass
class Buffer:
    """Device memory of a batch, as CuPy and as torch see it."""

    array: Any
    tensor: torch.Tensor
    used: Any = None  # an event behind the consumer's last use


class Registered:
    """Slots that are page-locked.

    Parameters
    ----------
    loader : fastfeed.Loader
        Whose slots they are.
    """

    def __init__(self, loader: fastfeed.Loader):
        self._loader, self._addresses = loader, dict[int, int]()
        self._seen = 0

    def see(self, batch: np.ndarray) -> None:
        """Page-lock the slot of a batch, if it is a new one."""
        self._seen += 1
        address = batch.ctypes.data
        if self._seen <= UNREGISTERED or address in self._addresses:
            return
        if address % PAGE or len(self._addresses) == self._loader.stats().slots:
            raise AssertionError(f"{address:#x} is no slot: {sorted(self._addresses)}")
        size = -(-batch.nbytes // PAGE) * PAGE
        cupy.cuda.runtime.hostRegister(address, size, PORTABLE)
        self._addresses[address] = size

    def close(self) -> None:
        """Unregister all."""
        for address in self._addresses:
            cupy.cuda.runtime.hostUnregister(address)
        self._addresses.clear()


class Uploaded:
    """A loader's batches on the device; each pass is one of the loader's."""

    def __init__(self, loader: fastfeed.Loader, source: Source, registered: Registered | None):
        self._loader, self._registered = loader, registered
        self._stream = cupy.cuda.Stream(non_blocking=True)
        self._free: queue.SimpleQueue[Buffer] = queue.SimpleQueue()
        for _ in range(AHEAD + 2):
            array = cupy.empty(source.shape, source.dtype)
            self._free.put(Buffer(array, torch.as_tensor(array, device="cuda")))

    def __iter__(self) -> Iterator[torch.Tensor]:
        arrivals: queue.Queue[Any] = queue.Queue(AHEAD)
        leaving = threading.Event()
        thread = threading.Thread(target=self._upload, args=(arrivals, leaving), daemon=True)
        thread.start()
        consumer = torch.cuda.current_stream().cuda_stream
        try:
            while (arrived := arrivals.get()) is not None:
                if isinstance(arrived, BaseException):
                    raise arrived
                buffer, event = arrived
                cupy.cuda.runtime.streamWaitEvent(consumer, event.ptr)
                yield buffer.tensor
                # Whoever asks for the next batch has told his stream what to do with this one.
                buffer.used = cupy.cuda.Event(disable_timing=True)
                cupy.cuda.runtime.eventRecord(buffer.used.ptr, consumer)
                self._free.put(buffer)
        finally:
            leaving.set()
            thread.join(JOIN)

    def _upload(self, arrivals: queue.Queue[Any], leaving: threading.Event) -> None:
        """Copy all batches of a pass; None behind the last one, or what went wrong."""
        try:
            in_flight: deque[Any] = deque()
            for batch in self._loader:
                if not put(arrivals, self._copy(batch, in_flight), leaving):
                    break
                del batch
            self._stream.synchronize()
            put(arrivals, None, leaving)
        except BaseException as error:
            put(arrivals, error, leaving)

    def _copy(self, batch: np.ndarray, in_flight: deque[Any]) -> tuple[Buffer, Any]:
        """Start a copy; its slot is kept until that is done."""
        if self._registered:
            self._registered.see(batch)
        buffer = self._free.get()
        if buffer.used:
            self._stream.wait_event(buffer.used)
        cupy.cuda.runtime.memcpyAsync(
            buffer.array.data.ptr, batch.ctypes.data, batch.nbytes, TO_DEVICE, self._stream.ptr
        )
        event = cupy.cuda.Event(disable_timing=True)
        event.record(self._stream)
        in_flight.append((event, batch))
        while len(in_flight) > IN_FLIGHT:
            in_flight.popleft()[0].synchronize()
        return buffer, event


def put(arrivals: queue.Queue[Any], what: Any, leaving: threading.Event) -> bool:
    """Pass on, unless the consumer has left."""
    while not leaving.is_set():
        with suppress(queue.Full):
            arrivals.put(what, timeout=LOOK_EVERY)
            return True
    return False


@contextmanager
def opened(source: Source, task: Task) -> Iterator[Uploaded]:
    """Open a Loader and its uploader."""
    with fastfeed.Loader(source, workers=task.workers, max_queue_size=QUEUE) as loader:
        registered = Registered(loader) if task.option == "registered" else None
        try:
            yield Uploaded(loader, source, registered)
        finally:
            if registered:
                registered.close()
