"""Copies from host to device: GB/s by the kind of host memory, and what registering costs.

The arena is made as fastfeed makes its slots, another process writes into it, and what arrives on
the device is compared with that. Copies read all of the memory in turn, so no cache holds it.
"""

from __future__ import annotations

import mmap
import os
import random
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from bench.gpu.device import Device, address_of, copy_rate, open_device
from bench.gpu.names import (
    ALLOCATED,
    HUGE_PAGES,
    PAGEABLE,
    REGISTERED,
    REGISTRATION,
    SIZES,
    SMALL_PAGES,
    copies_of,
)
from bench.gpu.record import Record
from bench.gpu.settings import Settings
from bench.gpu.writer import pattern, write_pattern
from fastfeed import _core

GB = 1e9
HUGE = Path("/sys/kernel/mm/transparent_hugepage/shmem_enabled")
TIMES = 5  # that registering is timed


def measure(settings: Settings, record: Record) -> None:
    """Measure copies, then registering."""
    device = open_device(settings.device)
    with record.attempt("copies", "all"):
        copies(device, settings, record)
    with record.attempt(REGISTRATION, SMALL_PAGES):
        small_pages(device, settings.arena_bytes, record)
    with record.attempt(REGISTRATION, HUGE_PAGES):
        huge_pages(device, settings.arena_bytes, record)


@contextmanager
def arena(device: Device, size: int) -> Iterator[int]:
    """Make memory as fastfeed's slots lie in, have a process write it, register it; its address."""
    fd = _core.create_memory("bench", size)
    try:
        memory = _core.Mapping(fd)
        write_pattern(fd)
    finally:
        os.close(fd)
    device.register(address_of(memory), size)
    try:
        yield address_of(memory)
    finally:
        device.unregister(address_of(memory))


def copies(device: Device, settings: Settings, record: Record) -> None:
    """Compare the kinds of host memory, one round of each in turn."""
    total = settings.arena_bytes
    pageable, allocated = pattern(total), device.page_locked(total)
    np.frombuffer(allocated, np.uint8)[:total] = pageable
    target, order = device.memory(max(SIZES.values())), random.Random(0)
    with arena(device, total) as registered:
        sources = {
            PAGEABLE: pageable.ctypes.data,
            REGISTERED: registered,
            ALLOCATED: address_of(allocated),
        }
        for name, source in sources.items():
            verify(device, target, source, total, name)
        for size_name, size in SIZES.items():
            rates: dict[str, list[float]] = {name: [] for name in sources}
            for _ in range(settings.rounds):
                for name in order.sample(list(sources), len(sources)):
                    rate = copy_rate(device, target, sources[name], total, size)
                    rates[name].append(rate / GB)
            for name, measured in rates.items():
                record(copies_of(size_name), name, "GB/s", measured, bytes=size)


def verify(device: Device, target: object, source: int, total: int, name: str) -> None:
    """Compare every byte that arrives with what was written (it also warms up)."""
    size = SIZES["19.3 MB"]
    expected = pattern(total)
    for begin in range(0, total - size + 1, size):
        device.copy(target, source + begin, size)
        if not np.array_equal(device.read(target, size), expected[begin : begin + size]):
            raise AssertionError(f"{name}: other bytes arrived from {begin} on")


def small_pages(device: Device, size: int, record: Record) -> None:
    """Time registering an arena of 4 KiB pages that another process has written."""
    fd = _core.create_memory("bench", size)
    memory = _core.Mapping(fd)
    write_pattern(fd)
    os.close(fd)
    timed_registration(device, address_of(memory), size, SMALL_PAGES, record)


def huge_pages(device: Device, size: int, record: Record) -> None:
    """The same with huge pages, where the kernel allows them for shared memory."""
    allowed = re.search(r"\[(\w+)\]", HUGE.read_text())[1] if HUGE.exists() else "no such file"
    if allowed not in ("always", "within_size", "advise", "force"):
        record.failed(REGISTRATION, HUGE_PAGES, f"not allowed: {HUGE.name} is {allowed}")
        return
    fd = os.memfd_create("bench")
    os.ftruncate(fd, size)
    memory = mmap.mmap(fd, size)
    os.close(fd)
    memory.madvise(mmap.MADV_HUGEPAGE)
    array = np.frombuffer(memory, np.uint8)
    array.fill(1)  # after the advice: only now are there pages
    timed_registration(device, array.ctypes.data, size, HUGE_PAGES, record)


def huge_kib(address: int) -> int | None:
    """Return the KiB of huge pages in a mapping; None if the kernel does not say."""
    maps = Path("/proc/self/smaps").read_text()
    about = maps.partition(f"\n{address:x}-")[2]
    found = re.search(r"ShmemPmdMapped:\s+(\d+)", about)
    return int(found[1]) if found else None


def timed_registration(device: Device, address: int, size: int, name: str, record: Record) -> None:
    """Record seconds a GB, of registering and of undoing it."""
    seconds: list[float] = []
    undoing: list[float] = []
    for _ in range(TIMES):
        begin = time.perf_counter()
        device.register(address, size)
        middle = time.perf_counter()
        device.unregister(address)
        seconds.append((middle - begin) / (size / GB))
        undoing.append((time.perf_counter() - middle) / (size / GB))
    record(
        REGISTRATION, name, "s/GB", seconds, bytes=size, unregister=undoing,
        huge_kib=huge_kib(address),
    )  # fmt: skip
