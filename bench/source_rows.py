"""Shuffled rows of arrays in memory, one way in a process: ``python -m bench.source_rows CELL``
prints JSON.

All ways give each row once a pass, in a random order, in batches of x and y. The first pass is
checked row by row, then whole passes are timed, with their beginnings; the consumer takes a batch
and drops it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

FASTFEED = "fastfeed"
TAKE, TAKE_IN_TURN = "np.take(out=)", "np.take(out=), 14 buffers in turn"
IN_TURN = 14  # as many slots as the loader has
TORCH = tuple(f"torch, {workers} workers" for workers in (0, 2))
TORCH_INDEXED = tuple(f"{name}, dataset[indices]" for name in TORCH)
WAYS = (FASTFEED, *TORCH, *TORCH_INDEXED, TAKE, TAKE_IN_TURN)
Arrays = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Cell:
    """What to run; travels as JSON on the command line.

    Parameters
    ----------
    name : str
        One of `WAYS`.
    rows : int
    row_bytes : int
        Of a row of x; y has a number of eight bytes.
    batch : int
        Rows.
    seconds : float
        That are timed at least.
    """

    name: str
    rows: int = 100_000
    row_bytes: int = 3072
    batch: int = 256
    seconds: float = 2.0

    def dumps(self) -> str:
        """Return the cell as JSON."""
        return json.dumps(asdict(self))


class Taken:
    """Batches by ``np.take``: the least that any way does.

    With the default ``mode="raise"`` NumPy would take into a copy of `out` first.
    """

    def __init__(self, arrays: Arrays, batch: int, buffers: int):
        self._arrays, self._batch = arrays, batch
        self._order = np.random.default_rng(1).permutation(len(arrays[0]))
        self._buffers = [
            tuple(np.zeros((batch, *array.shape[1:]), array.dtype) for array in arrays)
            for _ in range(buffers)
        ]

    def __iter__(self) -> Iterator[Arrays]:
        for number, start in enumerate(range(0, len(self._order), self._batch)):
            chosen = self._order[start : start + self._batch]
            x, y = (buffer[: len(chosen)] for buffer in self._buffers[number % len(self._buffers)])
            for array, out in zip(self._arrays, (x, y), strict=True):
                np.take(array, chosen, axis=0, out=out, mode="clip")
            yield x, y


@contextmanager
def _fastfeed(arrays: Arrays, cell: Cell) -> Iterator[Iterable[Any]]:
    import fastfeed

    with fastfeed.Loader(arrays, batch_size=cell.batch, shuffle=True, seed=1) as loader:
        yield loader


@contextmanager
def _torch(arrays: Arrays, cell: Cell) -> Iterator[Iterable[Any]]:
    """Open a DataLoader as its users write it; or one that asks for all rows of a batch at once,
    which few know.
    """
    import torch
    from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset

    torch.manual_seed(1)
    dataset = TensorDataset(*map(torch.from_numpy, arrays))
    workers = int(cell.name.split()[1])
    options: dict[str, Any] = {"num_workers": workers, "persistent_workers": workers > 0}
    if cell.name in TORCH_INDEXED:
        batches = BatchSampler(RandomSampler(dataset), cell.batch, drop_last=False)
        yield DataLoader(dataset, batch_size=None, sampler=batches, **options)
    else:
        yield DataLoader(dataset, batch_size=cell.batch, shuffle=True, **options)


@contextmanager
def _take(arrays: Arrays, cell: Cell) -> Iterator[Iterable[Any]]:
    yield Taken(arrays, cell.batch, IN_TURN if cell.name == TAKE_IN_TURN else 1)


Way = Callable[[Arrays, Cell], AbstractContextManager[Iterable[Any]]]
OPENED: dict[str, Way] = {FASTFEED: _fastfeed, TAKE: _take, TAKE_IN_TURN: _take}


def make(cell: Cell) -> Arrays:
    """Return x, all bytes random, and y, which counts its rows."""
    x = np.random.default_rng(0).integers(0, 256, (cell.rows, cell.row_bytes), np.uint8)
    return x, np.arange(cell.rows)


def check(batches: Iterable[Any], arrays: Arrays) -> None:
    """Raise AssertionError unless a pass gives every row once, shuffled, x and y together."""
    seen = []
    for batch in batches:
        x, y = (np.asarray(part) for part in batch)
        if not np.array_equal(x, arrays[0][y]):
            raise AssertionError(f"batch {len(seen)} has another x than its y says")
        seen.append(y.copy())
        del batch, x, y  # they may be a lease
    order = np.concatenate(seen)
    if np.array_equal(order, arrays[1]):
        raise AssertionError("nothing was shuffled")
    if not np.array_equal(np.sort(order), arrays[1]):
        raise AssertionError("some rows came twice, or not at all")


def run(cell: Cell) -> dict[str, float]:
    """Check a pass, then time as many as the cell wants."""
    arrays = make(cell)
    with OPENED.get(cell.name, _torch)(arrays, cell) as batches:
        check(batches, arrays)
        passes, begin = 0, time.perf_counter()
        while time.perf_counter() - begin < cell.seconds:
            for batch in batches:
                del batch
            passes += 1
        seconds = (time.perf_counter() - begin) / passes
    return {"rows_per_second": cell.rows / seconds, "passes": passes}


if __name__ == "__main__":
    print(json.dumps(run(Cell(**json.loads(sys.argv[1])))))
