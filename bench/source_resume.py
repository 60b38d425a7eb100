"""How long a resumed job waits for its first batch: ``python -m bench.source_resume CELL`` prints
JSON.

Nothing of the source is read but what the batch needs, so the time is that of finding the place.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

SAMPLES, ARRAYS = "samples, 2 workers", "arrays"
SOURCES = (SAMPLES, ARRAYS)
BATCH, SEED, EPOCH = 32, 1, 3


@dataclass(frozen=True)
class Cell:
    """What to run; travels as JSON on the command line.

    Parameters
    ----------
    name : str
        One of `SOURCES`.
    at : float
        Share of the epoch that was consumed before.
    items : int
    """

    name: str
    at: float
    items: int = 10_000_000

    def dumps(self) -> str:
        """Return the cell as JSON."""
        return json.dumps(asdict(self))

    @property
    def consumed(self) -> int:
        """Return the samples that were consumed: whole batches, and one at least is left."""
        whole = int(self.at * self.items) // BATCH
        return min(whole, (self.items - 1) // BATCH) * BATCH


class Numbers:
    """Sample i is i."""

    def __init__(self, length: int):
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> int:
        return index


def opened(cell: Cell) -> Any:
    """Return a new loader, as a job has it that starts again."""
    import fastfeed

    options: dict[str, Any] = {"batch_size": BATCH, "shuffle": True, "seed": SEED}
    if cell.name == ARRAYS:
        return fastfeed.Loader(np.arange(cell.items), **options)
    return fastfeed.Loader(Numbers(cell.items), workers=2, **options)


def expected(cell: Cell) -> np.ndarray:
    """Return the batch that is due."""
    from fastfeed import _core

    left = min(BATCH, cell.items - cell.consumed)
    return _core.Order(cell.items, True, SEED, EPOCH).rows(cell.consumed, left)


def run(cell: Cell) -> dict[str, float]:
    """Resume a loader that has just been made, whose workers start meanwhile; and one whose
    workers run.
    """
    with opened(cell) as loader:
        state = loader.state_dict() | {"epoch": EPOCH, "consumed": cell.consumed}
        fresh = resumed(loader, state, cell)
        running = resumed(loader, state, cell)
    return {"fresh": fresh, "running": running}


def resumed(loader: Any, state: dict[str, Any], cell: Cell) -> float:
    """Return the seconds from the state to the first batch.

    Raises
    ------
    AssertionError
        It is another one than is due.
    """
    begin = time.perf_counter()
    loader.load_state_dict(state)
    batch = next(iter(loader))
    seconds = time.perf_counter() - begin
    if not np.array_equal(batch, expected(cell)):
        raise AssertionError(f"after {cell.consumed} samples came {batch}, due is {expected(cell)}")
    return seconds


if __name__ == "__main__":
    print(json.dumps(run(Cell(**json.loads(sys.argv[1])))))
