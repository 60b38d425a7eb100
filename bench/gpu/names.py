"""What the parts call what they measure; the report, the bars and the pictures look for it.

Nothing is imported that a machine could lack: the report is written whatever has failed.
"""

from __future__ import annotations

from math import prod

import numpy as np

from bench.sources import WORKS

# transfer
PAGEABLE, REGISTERED, ALLOCATED = "pageable", "registered arena", "cuMemHostAlloc"
SIZES = {"1 MB": 1_000_000, "4.8 MB": 4_816_896, "19.3 MB": 19_267_584, "64 MB": 64_000_000}
REGISTRATION = "registration"
SMALL_PAGES, HUGE_PAGES = "4 KiB pages", "huge pages"


def copies_of(size: str) -> str:
    """Return the group of copies of a size."""
    return f"copies of {size}"


# hostload
WRITES = {"stream": "fastfeed.copyto", "numpy": "np.copyto"}
ALONE, TOGETHER = "alone", "at the same time"


def copying_beside(copy: str) -> str:
    """Return the group of the copies to the device."""
    return f"copies to the device, 4 writers with {WRITES[copy]}"


def writing_beside(copy: str) -> str:
    """Return the group of the writers."""
    return f"4 writers with {WRITES[copy]}, copies to the device"


# pipeline
def batches_of(work: str, workers: int) -> str:
    """Return the group of a contest."""
    return f"{WORKS[work].title}, {workers} workers"


def bytes_of(work: str) -> int:
    """Return the bytes of a batch."""
    return prod(WORKS[work].shape) * np.dtype(WORKS[work].dtype).itemsize


# busy
BUSY_WORK = "float32"
WITHOUT, WITH, LONG = "without work", "half a batch of work", "long work"
WORK_ALONE = "the work alone"


def busy(kind: str) -> str:
    """Return the group of a kind of rounds."""
    return f"busy: {WORKS[BUSY_WORK].title}, {kind}"


# training
TRAINING = "training"
CACHED = "one batch on the device"
TRAINED_FILL = "fastfeed, fill"
TRAINED_TRANSFORMED = "fastfeed, fill, device_transform"
TRAINED_TORCH = "torch DataLoader, pin_memory"

# latency
NEXT = "next() with a batch ready"
CALLS = "driver calls of next()"
FORWARD, CUPTI = "forward", "cupti"


def traced_by(framework: str, way: str) -> str:
    """Return the name of a trace."""
    return f"{framework}, {way}"


# augment
AUGMENT = "crop, flip, normalise, NCHW, float16"
AUGMENT_OURS, AUGMENT_TORCH = "fastfeed, one kernel", "torch, eager"
AUGMENT_COPY = "copy within the device"
