"""The source on its way to the worker processes.

It is pickled once (cloudpickle: lambdas, closures and classes of ``__main__`` travel by value).
Large buffers, such as arrays, stay out of the pickle and lie behind it in one sealed memfd that all
workers map copy-on-write: one copy for all of them, and a source that shuffles its own index array
in place still can.
"""

from __future__ import annotations

import mmap
import pickle
from typing import Any

import cloudpickle

from fastfeed._core import Mapping, create_memory, headroom
from fastfeed.errors import OutOfMemory, SourceNotPicklable, gib
from fastfeed.structure import aligned

LIMITS = ""
"""Folder in which the kernel's limits of memory are looked up; the tests' stand in another."""


def ship(source: Any) -> int:
    """Write a source to a memfd and return its descriptor.

    Raises
    ------
    SourceNotPicklable
        Naming the attribute that cannot be sent.
    OutOfMemory
        If the source's arrays do not fit into memory a second time.
    """
    buffers: list[pickle.PickleBuffer] = []
    try:
        pickled = cloudpickle.dumps(source, protocol=5, buffer_callback=buffers.append)
    except Exception as error:
        raise not_picklable(source, error) from error
    views = [buffer.raw() for buffer in buffers]
    header = pickle.dumps((len(pickled), [view.nbytes for view in views]))
    parts = [len(header).to_bytes(8, "little"), header, pickled, *views]
    return write(parts)


def write(parts: list[Any]) -> int:
    """Lay the parts out behind each other, each at a multiple of 64 bytes."""
    total = sum(aligned(len(part)) for part in parts)
    try:
        fd: int = create_memory("fastfeed-source", total, LIMITS)
    except MemoryError as error:
        raise OutOfMemory(
            f"Sending the source to worker processes needs {gib(total)} of shared memory, but "
            f"only {gib(headroom(LIMITS))} may be used. Keep the data in files (numpy.memmap) that each "
            "worker opens, use threads (use_multiprocessing=False), or pass arrays directly."
        ) from error
    mapping = Mapping(fd)
    position = 0
    for part in parts:
        mapping.copy_in(position, part)
        position += aligned(len(part))
    return fd


def unpack(fd: int) -> Any:
    """Rebuild the source in a worker; its arrays are views of the mapping."""
    memory = memoryview(mmap.mmap(fd, 0, access=mmap.ACCESS_COPY))
    position = 0

    def read(n_bytes: int) -> memoryview:
        nonlocal position
        part = memory[position : position + n_bytes]
        position += aligned(n_bytes)
        return part

    header_bytes = int.from_bytes(read(8), "little")
    pickle_bytes, sizes = pickle.loads(read(header_bytes))
    pickled = read(pickle_bytes)
    return pickle.loads(pickled, buffers=[read(size) for size in sizes])


# -- errors ---------------------------------------------------------------------------------


def not_picklable(source: Any, error: Exception) -> SourceNotPicklable:
    """Name the part of the source that cannot be sent."""
    users = getattr(source, "items", getattr(source, "function", source))
    path, culprit = find_culprit(users, getattr(users, "__name__", type(users).__name__), depth=4)
    return SourceNotPicklable(
        f"The source cannot be sent to worker processes: {path} is a "
        f"{type(culprit).__module__}.{type(culprit).__name__}, which cannot be pickled ({error}). "
        "Open it in the worker instead (on the first __getitem__), leave it out of the pickle "
        "with __getstate__, or use threads: use_multiprocessing=False."
    )


def find_culprit(value: Any, path: str, depth: int) -> tuple[str, Any]:
    """Follow the attributes and items that do not pickle as far down as there are any."""
    for step, child in parts_of(value):
        if depth and not can_be_pickled(child):
            return find_culprit(child, path + step, depth - 1)
    return path, value


def parts_of(value: Any) -> list[tuple[str, Any]]:
    """Return what a value is made of, with how it is written in Python."""
    if isinstance(value, dict):
        return [(f"[{key!r}]", child) for key, child in value.items()]
    if isinstance(value, (list, tuple)):
        return [(f"[{i}]", child) for i, child in enumerate(value)]
    attributes = getattr(value, "__dict__", {})
    found = [(f".{name}", child) for name, child in attributes.items()]
    cells = zip(
        getattr(getattr(value, "__code__", None), "co_freevars", ()),
        getattr(value, "__closure__", None) or (),
        strict=False,
    )
    return found + [(f" closes over {name}, which", cell.cell_contents) for name, cell in cells]


def can_be_pickled(value: Any) -> bool:
    """Try it."""
    try:
        cloudpickle.dumps(value, protocol=5, buffer_callback=lambda _: None)
    except Exception:
        return False
    return True
