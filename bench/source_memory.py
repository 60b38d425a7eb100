"""What a list of many paths costs, epoch after epoch: ``python -m bench.source_memory CELL`` prints
JSON.

Python counts the references to each text beside the text, so reading a list writes to its pages:
workers that were forked each get a copy of their own, slowly, which looks like a leak.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bench.apart import tree_memory

FASTFEED, TORCH = "fastfeed", "torch"
BATCH = 256


@dataclass(frozen=True)
class Cell:
    """What to run; travels as JSON on the command line.

    Parameters
    ----------
    name : {"fastfeed", "torch"}
    workers : int
    epochs : int
    paths : int
    kept : bool
        False: a path is made when it is asked for. What is left is what the loader costs.
    """

    name: str
    workers: int
    epochs: int = 20
    paths: int = 1_000_000
    kept: bool = True

    def dumps(self) -> str:
        """Return the cell as JSON."""
        return json.dumps(asdict(self))


def path(index: int) -> str:
    """Return a path as those of ImageNet are."""
    return f"/data/imagenet/train/n{index // 1300:08d}/n{index // 1300:08d}_{index}.JPEG"


class Paths:
    """Samples: the length of a path, which is read for it."""

    def __init__(self, cell: Cell):
        self._length = cell.paths
        self._paths = [path(index) for index in range(cell.paths)] if cell.kept else None

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> int:
        return len(path(index) if self._paths is None else self._paths[index])


@contextmanager
def opened(cell: Cell) -> Iterator[Iterable[Any]]:
    """Open a loader; each ``iter()`` is an epoch."""
    if cell.name == FASTFEED:
        import fastfeed

        with fastfeed.Loader(Paths(cell), BATCH, workers=cell.workers, shuffle=True) as loader:
            yield loader
    else:
        from torch.utils.data import DataLoader

        options = {"num_workers": cell.workers, "persistent_workers": True}
        yield DataLoader(Paths(cell), BATCH, shuffle=True, **options)


def run(cell: Cell) -> dict[str, list[float]]:
    """Go through the epochs and look at the memory of all processes at the end of each."""
    expected = sum(len(path(index)) for index in range(cell.paths))
    megabytes = []
    with opened(cell) as batches:
        for epoch in range(cell.epochs):
            total = 0
            for batch in batches:
                total += int(np.asarray(batch).sum())
                del batch  # it may be a lease
            if total != expected:
                raise AssertionError(f"epoch {epoch} has read {total} characters, not {expected}")
            megabytes.append(tree_memory(os.getpid()) / 1e6)
    return {"megabytes": megabytes}


if __name__ == "__main__":
    print(json.dumps(run(Cell(**json.loads(sys.argv[1])))))
