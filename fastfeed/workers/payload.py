"""The source on its way to the worker processes.

It is pickled once (cloudpickle: lambdas, closures and classes of ``__main__`` travel by value).
Large buffers, such as arrays, stay out of the pickle and lie behind it in one sealed memfd that all
workers map copy-on-write: one copy for all of them, and a source that shuffles its own index array
in place still can.
"""

from __future__ import annotations

import functools
import itertools
import mmap
import pickle
import types
from typing import Any

import cloudpickle

from fastfeed._core import Mapping, create_memory, headroom
from fastfeed.errors import OutOfMemory, SourceNotPicklable, gib
from fastfeed.structure import aligned

LIMITS = ""
"""Folder in which the kernel's limits of memory are looked up; the tests' stand in another."""

UNSENT = ("__dict__", "__weakref__")
"""What Python puts into every class itself."""


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
            f"only {gib(headroom(LIMITS))} may be used. Keep the data in files (numpy.memmap) that "
            "each worker opens, use threads (use_multiprocessing=False), or pass arrays directly."
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
    path, culprit = find_culprit(users, getattr(users, "__name__", type(users).__name__), depth=6)
    return SourceNotPicklable(
        f"The source cannot be sent to worker processes: {path} is a "
        f"{type(culprit).__module__}.{type(culprit).__name__}, which cannot be pickled ({error}). "
        "Open it in the worker instead (on the first __getitem__), leave it out of the pickle "
        "with __getstate__, or use threads: use_multiprocessing=False."
    )


def find_culprit(value: Any, path: str, depth: int) -> tuple[str, Any]:
    """Follow the parts that do not pickle as far down as there are any."""
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
    if isinstance(value, types.FunctionType):
        return parts_of_function(value)
    if isinstance(value, functools.partial):
        return [(".func", value.func), (".args", value.args), (".keywords", value.keywords)]
    if isinstance(value, types.MethodType):
        return [("", value.__self__), ("", value.__func__)]
    members = dict(getattr(value, "__dict__", {}))
    for cls in type(value).__mro__:
        if not can_be_pickled(cls):  # it travels by value, with its methods: a class of the script
            members = {**vars(cls), **members}
    return [(f".{name}", child) for name, child in members.items() if name not in UNSENT]


def parts_of_function(function: types.FunctionType) -> list[tuple[str, Any]]:
    """Return the variables that a function takes from around it."""
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    used = [(name, function.__globals__.get(name)) for name in names_in(function.__code__)]
    return [
        *((f" closes over {name}, which", cell.cell_contents) for name, cell in cells),
        *((f" uses the global {name}, which", child) for name, child in used),
    ]


def names_in(code: types.CodeType) -> list[str]:
    """Return the names that a function, or one inside it, looks up."""
    inner = [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return [*code.co_names, *itertools.chain.from_iterable(map(names_in, inner))]


def can_be_pickled(value: Any) -> bool:
    """Try it."""
    try:
        cloudpickle.dumps(value, protocol=5, buffer_callback=lambda _: None)
    except Exception:
        return False
    return True
