"""fastfeed.Loader with ``device="cuda"``; in a rehearsal its batches stay on the host."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import fastfeed
from bench.gpu.lane import QUEUE, Task
from bench.sources import Source

COUNTERS = (
    "pinned", "registered_bytes", "register_seconds", "uploads", "upload_bytes", "host_copies",
    "buffers", "buffer_bytes",
)  # fmt: skip


@contextmanager
def opened(source: Source, task: Task) -> Iterator[fastfeed.Loader]:
    """Open a Loader."""
    on_device: dict[str, Any] = {"device": "cuda", "device_queue_size": 2}
    with fastfeed.Loader(
        source,
        workers=task.workers,
        max_queue_size=QUEUE,
        framework="torch",
        **on_device if task.device == "cuda" else {},
    ) as loader:
        yield loader


def describe(loader: fastfeed.Loader) -> dict[str, Any]:
    """Return the counters of the upload thread."""
    device = getattr(loader.stats(), "device", None)
    return {} if device is None else {name: getattr(device, name) for name in COUNTERS}
