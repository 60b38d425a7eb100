"""Does the host's memory keep up? Copies to the device while other processes write batches."""

from __future__ import annotations

import os
import random
import time

import numpy as np

from bench.gpu.device import address_of, copy_rate, open_device
from bench.gpu.names import ALONE, SIZES, TOGETHER, WRITES, copying_beside, writing_beside
from bench.gpu.record import Record
from bench.gpu.settings import Settings
from bench.gpu.transfer import GB
from bench.gpu.writer import Writers
from fastfeed import _core

COUNT = 4
SIZE = SIZES["4.8 MB"]


def measure(settings: Settings, record: Record) -> None:
    """Measure each side alone and both at the same time, for both ways to write."""
    for copy in WRITES:
        with record.attempt(writing_beside(copy), TOGETHER):
            measure_with(copy, settings, record)


def measure_with(copy: str, settings: Settings, record: Record) -> None:
    """Measure with writers of one kind; those that pause still exist, but they are stopped."""
    device = open_device(settings.device)
    fd = _core.create_memory("bench", settings.arena_bytes)
    memory = np.frombuffer(_core.Mapping(fd), np.uint8)
    address, size = address_of(memory), len(memory)
    device.register(address, size)
    target = device.memory(SIZE)
    copied: dict[str, list[float]] = {ALONE: [], TOGETHER: []}
    written: dict[str, list[float]] = {ALONE: [], TOGETHER: []}

    def copy_for(seconds: float) -> float:
        rates, until = [], time.perf_counter() + seconds
        while time.perf_counter() < until:
            rates.append(copy_rate(device, target, address, size, SIZE))
        return float(np.median(rates)) / GB

    def with_writers(copying_too: bool) -> None:
        writers = Writers(fd, SIZE, COUNT, copy)
        try:
            before = writers.look()
            if copying_too:
                copied[TOGETHER].append(copy_for(settings.seconds))
            else:
                time.sleep(settings.seconds)
            rate = writers.rate(before, writers.look()) / GB
            written[TOGETHER if copying_too else ALONE].append(rate)
        finally:
            writers.close()

    turns = [
        lambda: copied[ALONE].append(copy_for(settings.seconds)),
        lambda: with_writers(False),
        lambda: with_writers(True),
    ]
    order = random.Random(0)
    for _ in range(max(2, settings.rounds // 2)):
        for turn in order.sample(turns, len(turns)):
            turn()
    device.unregister(address)
    os.close(fd)
    for name in (ALONE, TOGETHER):
        record(copying_beside(copy), name, "GB/s", copied[name])
        record(writing_beside(copy), name, "GB/s", written[name])
