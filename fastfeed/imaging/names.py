"""Many file names in two arrays.

A list of a million names is a million Python objects: each worker process would get its own, made
by unpickling, and reading them would write into their pages (reference counts). Two arrays travel
to the workers as shared memory, and cost once whatever the number of workers.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from fastfeed.errors import ArgumentError


class Names:
    """File names, by number; in the bytes of the file system.

    Parameters
    ----------
    names : sequence of str
        Also with bytes that are no text, as `os.listdir` gives them.

    Raises
    ------
    ArgumentError
        If a name has a NUL, which no file's name has.
    """

    def __init__(self, names: Sequence[str]) -> None:
        joined = os.fsencode("\0".join(names))
        self._bytes = np.frombuffer(joined, dtype=np.uint8)
        ends = np.flatnonzero(self._bytes == 0)
        if len(ends) != max(len(names) - 1, 0):
            odd = next(name for name in names if "\0" in name)
            raise ArgumentError("A file's name has no NUL character in it.", repr(odd))
        self._starts = np.zeros(len(names) + 1, dtype=np.int64)  # the last one: where all end
        self._starts[1:-1] = ends + 1
        if len(names):
            self._starts[-1] = len(joined) + 1

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, row: int) -> str:
        return os.fsdecode(self._bytes[self._starts[row] : self._starts[row + 1] - 1].tobytes())

    def __iter__(self) -> Iterator[str]:
        """Yield all names; they are made anew each time."""
        return iter(os.fsdecode(self._bytes.tobytes()).split("\0") if len(self) else ())

    def digest(self) -> bytes:
        """Return a short hash of all names and their order."""
        return hash_of(self._bytes, self._starts)


def hash_of(*arrays: npt.NDArray[np.generic]) -> bytes:
    """Return a short hash of arrays: their values, dtypes and shapes."""
    total = hashlib.blake2b(digest_size=16)
    for array in arrays:
        total.update(f"{array.dtype.str}{array.shape}".encode())
        total.update(np.ascontiguousarray(array).data.cast("B") if array.size else b"")
    return total.digest()
