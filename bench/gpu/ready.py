"""Loaders whose ``next()`` is looked at: batches of two arrays, 4.8 MB of images and labels."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import fastfeed
from bench.gpu.images import ImagesFill
from bench.gpu.lane import QUEUE

IMAGES, SIDE = 32, 224
LOOK_EVERY = 50e-6  # seconds
PATIENCE = 0.05  # seconds before a batch is taken for nothing
LONGEST = 20.0  # seconds for a batch to be ready
ENDLESS = 1_000_000


def open_loader(framework: str, device: str, workers: int) -> fastfeed.Loader:
    """Return a loader with batches on the device (on the host, in a rehearsal)."""
    on_device: dict[str, Any] = {"device": "cuda", "device_queue_size": 2}
    return fastfeed.Loader(
        ImagesFill(IMAGES, SIDE, ENDLESS),
        workers=workers,
        max_queue_size=QUEUE,
        framework=framework,
        **on_device if device == "cuda" else {},
    )


def wait_until_ready(loader: fastfeed.Loader, batches: Iterator[Any]) -> None:
    """Wait until the next batch can be taken at once: it lies on the device.

    Only ``next()`` asks workers for more. If all slots were still being read when it was called
    last, nothing is on its way, so one batch is taken for nothing.
    """
    until = time.monotonic() + LONGEST
    while not _is_ready_soon(loader):
        if time.monotonic() > until:
            raise AssertionError(f"no batch ready after {LONGEST:.0f} s: {loader.stats()}")
        next(batches)


def _is_ready_soon(loader: fastfeed.Loader) -> bool:
    until = time.monotonic() + PATIENCE
    while not (ready := _ready(loader)) and time.monotonic() < until:
        time.sleep(LOOK_EVERY)
    return bool(ready)


def _ready(loader: fastfeed.Loader) -> int:
    stats = loader.stats()
    device = getattr(stats, "device", None)
    return int(stats.ready if device is None else device.waiting)
