"""Finding a GPU, and page-locking the slots that it reads."""

from __future__ import annotations

import errno
import os
import re
import resource
import time
import warnings
from typing import Any

from fastfeed._core import Device, Segment, memory_node
from fastfeed.errors import ArgumentError, DeviceError, DeviceUnavailable, gib

LIBRARY_VARIABLE = "FASTFEED_CUDA_LIBRARY"
"""Environment variable with the path of a library to take in place of ``libcuda.so.1``."""
OLDEST_DRIVER = 11020
"""CUDA 11.2: the oldest driver with which CuPy 12, PyTorch 2 and JAX 0.4 work."""
NOT_INITIALISED = 3
NO_DEVICE = 100
SYSTEM = ""
"""Folder in which the kernel's files about memory nodes are looked up; the tests' have fakes."""
DEVICE_NAME = re.compile(r"(?:cuda|gpu)(?::(\d{1,9}))?")


def ordinal_of(device: Any) -> int | None:
    """Return the number in ``"cuda:1"``, a ``torch.device`` or the like; None where it has none.

    Raises
    ------
    ArgumentError
        It names something else.
    """
    match = DEVICE_NAME.fullmatch(str(device))
    if not match:
        raise ArgumentError(
            'device must be None (batches in host memory), "cuda" or "cuda:1".',
            f"device={device!r}",
        )
    return None if match[1] is None else int(match[1])


def open_device(ordinal: int) -> Device:
    """Return the GPU of this number, as the driver and ``CUDA_VISIBLE_DEVICES`` number them.

    Raises
    ------
    DeviceUnavailable
        There is no driver, no GPU, or too old a driver.
    ArgumentError
        There are fewer GPUs.
    """
    try:
        device = Device(ordinal, os.environ.get(LIBRARY_VARIABLE) or None)
    except DeviceError as error:
        raise _explained(error, ordinal) from None
    if device.driver_version < OLDEST_DRIVER:
        raise DeviceUnavailable(
            f"The CUDA driver of this machine supports CUDA {version(device.driver_version)}, and "
            f"fastfeed needs {version(OLDEST_DRIVER)} or newer. Install a newer NVIDIA driver, or "
            "leave out device."
        )
    return device


def version(number: int) -> str:
    """Write CUDA's version number for people: ``"12.4"`` for 12040."""
    return f"{number // 1000}.{number % 1000 // 10}"


def _explained(error: DeviceError, ordinal: int) -> Exception:
    """Return an error that says what to do."""
    if error.code == -errno.ENODEV:
        return ArgumentError(
            f"There is no GPU number {ordinal}: the driver reports {error.text}, numbered from "
            f"0. CUDA_VISIBLE_DEVICES is {os.environ.get('CUDA_VISIBLE_DEVICES', 'not set')!r}.",
            f'device="cuda:{ordinal}"',
        )
    if error.code == -errno.ENOENT:
        cure = (
            "No CUDA driver was found. It comes with the NVIDIA driver of the machine; a container "
            "has to be started with access to the GPU (docker run --gpus all)."
        )
    elif error.code == -errno.ENOSYS:
        cure = "The CUDA driver lacks a function that fastfeed needs; install a newer one."
    elif error.code == NO_DEVICE:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "not set")
        cure = f"There is a driver, but no GPU to be seen. CUDA_VISIBLE_DEVICES is {visible!r}."
    elif error.code == NOT_INITIALISED:
        cure = (
            "The GPU cannot be used here: this process is probably a fork of one that has used "
            'CUDA. Start it in another way, as multiprocessing does with the "spawn" method.'
        )
    else:
        cure = "The GPU cannot be used."
    return DeviceUnavailable(
        f"{cure} Without a GPU, leave out device: batches then lie in host memory. "
        f"({error.call}: {error.text})",
        error.call,
        error.code,
        error.text,
    )


class Pinning:
    """Page-locks each segment of a loader, so that the GPU reads it directly.

    Attributes
    ----------
    pinned : bool or None
        Whether the newest segment could be page-locked; None before the first one.
    registered_bytes : int
        That were page-locked, in all.
    register_seconds : float
        That it took.
    node : int
        The memory node next to the GPU; -1 where there is only one.
    """

    def __init__(self, device: Device) -> None:
        self.node = memory_node(device.bus, SYSTEM)
        self.pinned: bool | None = None
        self.registered_bytes = 0
        self.register_seconds = 0.0
        self._device = device

    def announce(self, number: int, segment: Segment) -> None:
        """Page-lock a segment. Where that is refused, say so once."""
        begin = time.perf_counter()
        try:
            self._device.pin(segment)
        except DeviceError as error:
            if self.pinned is not False:
                warn_not_pinned(len(segment), error)
            self.pinned = False
            return
        self.pinned = True
        self.registered_bytes += len(segment)
        self.register_seconds += time.perf_counter() - begin

    def retire(self, number: int) -> None:
        """Nothing: the segment is unlocked when its last user is gone."""


def warn_not_pinned(n_bytes: int, error: DeviceError) -> None:
    """Warn that uploads will cost a copy on the host."""
    limit, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    allowed = "unlimited" if limit == resource.RLIM_INFINITY else gib(limit)
    warnings.warn(
        f"The driver refused to page-lock {gib(n_bytes)} of shared memory ({error.call}: "
        f"{error.text}), so every batch is copied once more on the host. The limit of locked "
        f"memory is {allowed} (ulimit -l); raise it, in a container with --ulimit memlock=-1.",
        UserWarning,
        stacklevel=2,
    )
