"""The source on its way to the worker processes.

It is pickled once (cloudpickle: lambdas, closures and classes of ``__main__`` travel by value).
Large buffers, such as arrays, stay out of the pickle and lie behind it in one sealed memfd that all
workers map copy-on-write: one copy for all of them, and a source that shuffles its own index array
in place still can. So do long lists of paths or labels, see `shared_list`.
"""

from __future__ import annotations

import functools
import io
import itertools
import mmap
import pickle
import types
from collections.abc import Iterable
from typing import Any

import cloudpickle

from fastfeed._core import Mapping, create_memory, headroom
from fastfeed.errors import OutOfMemory, SourceNotPicklable, gib
from fastfeed.structure import aligned
from fastfeed.workers.shared_list import FEWEST, Encoded, SharedList, can_be_shared, decode, encode

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
    file = io.BytesIO()
    pickler = SourcePickler(file)
    try:
        pickler.dump(source)
    except Exception as error:
        raise not_picklable(source, error) from error
    pickled = file.getbuffer()
    views = pickler.all_buffers()
    lists = [(each.format, len(each.buffers)) for each in pickler.lists]
    header = pickle.dumps((len(pickled), lists, [len(view) for view in views]))
    parts = [len(header).to_bytes(8, "little"), header, pickled, *views]
    return write(parts)


class SourcePickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Leaves arrays and long lists out of the pickle.

    Lists that are attributes of an object or variables of a function, or stand in a tuple, list or
    dict that is: they are the user's own. Others belong to the innards of some type, a NumPy array
    of objects for example, that would not take anything else in their place.

    Attributes
    ----------
    lists : list of Encoded
        The long lists. In the pickle stands the place of each here.
    """

    def __init__(self, file: io.BytesIO) -> None:
        self._arrays: list[pickle.PickleBuffer] = []
        self.lists: list[Encoded] = []
        # Keeps what it has seen, or another list may come to lie in its place.
        self._found: dict[int, tuple[list[Any], int]] = {}
        super().__init__(file, protocol=5, buffer_callback=self._arrays.append)

    def persistent_id(self, value: Any) -> int | None:
        """Return the place of a list that was left out; called for every object, so it is quick
        for most.
        """
        kind = type(value)
        if kind not in HOLDERS:
            return None
        if kind is list:
            found = self._found.get(id(value))
            return None if found is None else found[1]
        self._look_for_lists(value.values() if kind is dict else held_by(value))
        return None

    def _look_for_lists(self, members: Iterable[Any]) -> None:
        for member in members:
            if type(member) is list and len(member) >= FEWEST:
                self._leave_out(member)
            elif type(member) in (list, tuple) and len(member) < SHORT:
                self._look_for_lists(member)

    def _leave_out(self, values: list[Any]) -> None:
        if id(values) not in self._found and can_be_shared(values):
            self._found[id(values)] = values, len(self.lists)
            self.lists.append(encode(values))

    def all_buffers(self) -> list[Any]:
        """Return the bytes that lie outside the pickle: of the lists, then of the arrays."""
        of_lists = itertools.chain.from_iterable(each.buffers for each in self.lists)
        return [*of_lists, *(array.raw() for array in self._arrays)]


HOLDERS = frozenset({list, dict, types.CellType, functools.partial})
SHORT = 100
"""Tuples and lists of fewer members are looked into: (paths, labels)."""


def held_by(value: Any) -> tuple[Any, ...]:
    """Return what a variable of a closure holds, or a function's bound arguments."""
    if isinstance(value, functools.partial):
        return (*value.args, *value.keywords.values())
    try:
        return (value.cell_contents,)
    except ValueError:  # not assigned yet
        return ()


class SourceUnpickler(pickle.Unpickler):
    """Puts the long lists in their places again."""

    def __init__(
        self, pickled: memoryview, lists: list[SharedList], arrays: list[memoryview]
    ) -> None:
        super().__init__(io.BytesIO(pickled), buffers=arrays)
        self._lists = lists

    def persistent_load(self, place: int) -> SharedList:
        """Return the list that was left out; the same one each time."""
        return self._lists[place]


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
    pickle_bytes, lists, sizes = pickle.loads(read(header_bytes))
    pickled = read(pickle_bytes)
    views = iter([read(size) for size in sizes])
    decoded = [decode(code, list(itertools.islice(views, n))) for code, n in lists]
    return SourceUnpickler(pickled, decoded, list(views)).load()


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
