"""`SharedList`: a long list of the user's that lies in memory once, for all worker processes.

A Python list of a million paths is a million objects, 100 MB in every process that has a copy; and
even pages that processes share at first become each one's own, because Python counts references in
them. So the elements lie encoded in the sealed memory of the source, and become objects when they
are asked for: numbers as an array, everything else by `marshal`, which is quick and, for the types
that are let in, exact.
"""

from __future__ import annotations

import array
import itertools
import marshal
import operator
import sys
from abc import abstractmethod
from collections.abc import Iterable, Iterator, MutableSequence
from typing import Any, NamedTuple, SupportsIndex

import numpy as np

FEWEST = 10_000
"""Elements from which on a list is shared: below a megabyte, nobody feels the copies."""
SIMPLE = frozenset({str, bytes, int, float, complex, bool, type(None)})
"""Types of immutable elements, which nobody can tell from equal ones made anew."""
ARRAYS = {int: "q", float: "d", bool: "?"}
"""Types whose values a buffer of fixed-size elements holds."""
FORMAT = 2
"""Of marshal: without references between objects, so every element stands for itself."""
CHUNK = 1 << 16


class Encoded(NamedTuple):
    """A list as bytes.

    Attributes
    ----------
    format : str
        Of the elements of an array, as `memoryview.cast` has it; "": by `marshal`.
    buffers : list of bytes-like
        The array; or the encoded elements behind each other, and where each begins and ends.
    """

    format: str
    buffers: list[Any]


def can_be_shared(values: list[Any]) -> bool:
    """Tell whether a list is one of simple elements, or of flat tuples of these. Quick: the
    elements are looked at in C.
    """
    types = set(map(type, values))
    if types == {tuple}:
        types = set(map(type, itertools.chain.from_iterable(values)))
    return types <= SIMPLE


def encode(values: list[Any]) -> Encoded:
    """Encode what `can_be_shared`."""
    types = set(map(type, values))
    code = ARRAYS.get(types.pop(), "") if len(types) == 1 else ""
    if code:
        try:
            return Encoded(code, [as_bytes(array.array("B" if code == "?" else code, values))])
        except OverflowError:
            pass  # an integer of more than 64 bits
    chunks, lengths = [], [np.zeros(1, np.int64)]
    for start in range(0, len(values), CHUNK):
        parts = [marshal.dumps(value, FORMAT) for value in values[start : start + CHUNK]]
        lengths.append(np.fromiter(map(len, parts), np.int64, len(parts)))
        chunks.append(b"".join(parts))
    return Encoded("", [b"".join(chunks), as_bytes(np.cumsum(np.concatenate(lengths)))])


def as_bytes(values: Any) -> memoryview:
    """Return the memory of an array."""
    return memoryview(values).cast("B")


def decode(format_: str, buffers: list[memoryview]) -> SharedList:
    """Return the list that lies in these buffers."""
    if format_:
        return SharedNumbers(buffers[0].cast(format_))  # type: ignore[call-overload]
    return SharedObjects(buffers[0], buffers[1].cast("q"))


class SharedList(MutableSequence[Any]):
    """Behaves like the list that it stands for.

    The first change (``append``, a shuffle) makes a list of the process's own of it, so that it
    takes up as much memory as ever. Not a subclass of `list`: native code that looks inside lists
    would find an empty one.
    """

    _own: list[Any] | None = None  # after the first change

    @abstractmethod
    def _at(self, index: Any) -> Any:
        """Return the element at an index that is in range and not negative."""

    @abstractmethod
    def _shared_length(self) -> int:
        """Return the number of elements before the first change."""

    def _make_own(self) -> list[Any]:
        if self._own is None:
            self._own = list(self)
        return self._own

    # -- reading ----------------------------------------------------------------------------

    def __len__(self) -> int:
        return self._shared_length() if self._own is None else len(self._own)

    def __iter__(self) -> Iterator[Any]:
        return map(self._at, range(len(self))) if self._own is None else iter(self._own)

    def __getitem__(self, index: Any) -> Any:
        if self._own is not None:
            return self._own[index]
        length = self._shared_length()
        if isinstance(index, slice):
            return [self._at(i) for i in range(*index.indices(length))]
        index = operator.index(index)
        if index < 0:
            index += length
        if not 0 <= index < length:
            raise IndexError("list index out of range")
        return self._at(index)

    def index(self, value: Any, start: int = 0, stop: int = sys.maxsize) -> int:
        """Return the index of the first element that is equal."""
        try:
            return super().index(value, start, stop)
        except ValueError:
            raise ValueError(f"{value!r} is not in list") from None

    def copy(self) -> list[Any]:
        """Return a list."""
        return list(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (list, SharedList)):
            return NotImplemented
        return len(self) == len(other) and all(map(operator.eq, self, other))

    __hash__ = None  # type: ignore[assignment]

    def __lt__(self, other: Any) -> bool:
        return bool(self.copy() < plain(other))

    def __gt__(self, other: Any) -> bool:
        return bool(self.copy() > plain(other))

    def __le__(self, other: Any) -> bool:
        return bool(self.copy() <= plain(other))

    def __ge__(self, other: Any) -> bool:
        return bool(self.copy() >= plain(other))

    def __add__(self, other: Any) -> list[Any]:
        return self.copy() + as_list(other)

    def __radd__(self, other: Any) -> list[Any]:
        return as_list(other) + self.copy()

    def __mul__(self, times: SupportsIndex) -> list[Any]:
        return self.copy() * times

    __rmul__ = __mul__

    def __repr__(self) -> str:
        return f"<list of {len(self)} elements{', shared' if self._own is None else ''}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (list(self),)

    # -- changes ----------------------------------------------------------------------------

    def __setitem__(self, index: Any, value: Any) -> None:
        self._make_own()[index] = value

    def __delitem__(self, index: Any) -> None:
        del self._make_own()[index]

    def insert(self, index: int, value: Any) -> None:
        """Insert an element."""
        self._make_own().insert(index, value)

    def append(self, value: Any) -> None:
        """Append an element."""
        self._make_own().append(value)

    def extend(self, values: Iterable[Any]) -> None:
        """Append elements."""
        own = self._make_own()
        own.extend(own if values is self else values)  # or they would never end

    def reverse(self) -> None:
        """Turn the order round."""
        self._make_own().reverse()

    def sort(self, *, key: Any = None, reverse: bool = False) -> None:
        """Sort in place."""
        self._make_own().sort(key=key, reverse=reverse)


def plain(value: Any) -> Any:
    """Return a list for a shared one, and anything else as it is."""
    return value.copy() if isinstance(value, SharedList) else value


def as_list(value: Any) -> list[Any]:
    """Return a list for what may be added to a list.

    Raises
    ------
    TypeError
        If it is none, as with a list.
    """
    if not isinstance(value, (list, SharedList)):
        raise TypeError(f'can only concatenate list (not "{type(value).__name__}") to list')
    return list(value)


class SharedNumbers(SharedList):
    """Integers, floats or truth values in an array."""

    def __init__(self, values: memoryview) -> None:
        self._values = values

    def _at(self, index: int) -> Any:
        return self._values[index]

    def _shared_length(self) -> int:
        return len(self._values)


class SharedObjects(SharedList):
    """Anything else; `bounds` says where each element's bytes begin, and where the last ends."""

    def __init__(self, data: memoryview, bounds: memoryview) -> None:
        self._data = data
        self._bounds = bounds

    def _at(self, index: int) -> Any:
        bounds = self._bounds
        return marshal.loads(self._data[bounds[index] : bounds[index + 1]])

    def _shared_length(self) -> int:
        return len(self._bounds) - 1
