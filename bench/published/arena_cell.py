"""One way from a subprocess to this process, at one size: ``python -m ... CELL`` prints JSON.

As SPDL's own benchmark does it: the subprocess yields the same array of zeros again and again, in
``{"data": array}``; one pass over the items warms up, the others are timed one by one. Memory of
zeros that nobody has written to is one page, which stays in the cache; so there is a second kind of
payload, arrays that differ.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import psutil

CONTINUOUS = ", continuous source"  # the pipeline lives on from pass to pass
SPDL = (
    "SPDL no-arena", "SPDL ring", "SPDL pool", f"SPDL ring{CONTINUOUS}", f"SPDL pool{CONTINUOUS}",
)  # fmt: skip
FASTFEED = ("fastfeed, __getitem__", "fastfeed, fill")
BUFFER = 3  # SPDL's default: items that wait in the pipeline's sink, and as many in the queue


@dataclass(frozen=True)
class Cell:
    """What to run; travels as JSON on the command line.

    Parameters
    ----------
    name : str
        One of `SPDL` and `FASTFEED`.
    mib : int
        Of an item.
    items : int
        A pass.
    passes : int
        Timed.
    kinds : int
        1: the same array of zeros each time. More: as many arrays of ones, twos, ... in turn.
    memory : bool
        The memory is looked at meanwhile, so the times do not count.
    """

    name: str
    mib: int
    items: int
    passes: int
    kinds: int = 1
    memory: bool = False

    @property
    def count(self) -> int:
        """Return the numbers in an array of float32."""
        return (self.mib << 20) // 4

    def dumps(self) -> str:
        """Return the cell as JSON."""
        return json.dumps(asdict(self))


class Payloads:
    """The arrays of a cell, made when one is first asked for: in the subprocess."""

    def __init__(self, cell: Cell):
        self.cell = cell
        self._arrays: list[np.ndarray] = []

    def of(self, index: int) -> np.ndarray:
        """Return the array of an item."""
        if not self._arrays:
            count, self._arrays = self.cell.count, [np.zeros(self.cell.count, np.float32)]
            if self.cell.kinds > 1:
                kinds = range(self.cell.kinds)
                self._arrays = [np.full(count, 1 + kind, np.float32) for kind in kinds]
        return self._arrays[index % self.cell.kinds]

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        for index in range(self.cell.items):
            yield {"data": self.of(index)}


class Items(Payloads):
    """Hands out the arrays by their index; for fastfeed."""

    def __len__(self) -> int:
        return self.cell.items

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        return {"data": self.of(index)}


class FilledItems(Items):
    """The same, written in place."""

    @property
    def spec(self) -> dict[str, Any]:
        """The layout of an item."""
        from fastfeed import ArraySpec

        return {"data": ArraySpec((self.cell.count,), np.dtype("float32"))}

    def fill(self, index: int, out: dict[str, np.ndarray], rng: object) -> None:
        """Write an item."""
        np.copyto(out["data"], self.of(index))


@contextmanager
def opened(cell: Cell) -> Iterator[Iterable[dict[str, np.ndarray]]]:
    """Open a cell's way; each ``iter()`` is a pass."""
    if cell.name in SPDL:
        yield _spdl(cell)
        return
    import fastfeed

    kind = FilledItems if cell.name == "fastfeed, fill" else Items
    with fastfeed.Loader(kind(cell), workers=1, max_queue_size=2 * BUFFER) as loader:
        yield loader


def _spdl(cell: Cell) -> Iterable[dict[str, np.ndarray]]:
    from spdl.pipeline import PipelineBuilder, run_pipeline_in_subprocess

    continuous = cell.name.endswith(CONTINUOUS)
    builder = PipelineBuilder().add_source(Payloads(cell), continuous=continuous)
    config = builder.add_sink(buffer_size=BUFFER).get_config()
    arena = _arena(cell)
    return run_pipeline_in_subprocess(config, num_threads=1, buffer_size=BUFFER, arena=arena)


def _arena(cell: Cell) -> Any:
    """Return room for all items of a pass and twice the bytes of each, as SPDL's benchmark does."""
    from spdl.pipeline import SharedMemoryRingBuffer, SharedMemorySegmentPool

    room, count = 2 * (cell.mib << 20), max(2 * BUFFER + 6, cell.items + 2)
    if cell.name.startswith("SPDL ring"):
        return SharedMemoryRingBuffer(capacity=room * count)
    if cell.name.startswith("SPDL pool"):
        return SharedMemorySegmentPool(segment_size=room, count=count)
    return None


def check(item: dict[str, np.ndarray], index: int, cell: Cell) -> None:
    """Raise AssertionError unless this is the item's array."""
    data, value = item["data"], 0 if cell.kinds == 1 else 1 + index % cell.kinds
    if data.dtype != np.float32 or data.shape != (cell.count,) or not (data == value).all():
        raise AssertionError(f"item {index} is {data.dtype}{data.shape} with other contents")


def one_pass(items: Iterable[Any], count: int) -> float:
    """Take all items and drop them; return the seconds."""
    taken, begin = 0, time.perf_counter()
    for item in items:
        taken += 1
        del item  # it may be a lease
    seconds = time.perf_counter() - begin
    if taken != count:
        raise AssertionError(f"{taken} of {count} items came")
    return seconds


def cpu_seconds() -> tuple[float, float]:
    """Return what this process has used, and what it and all below it have."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    own = usage.ru_utime + usage.ru_stime
    below = psutil.Process().children(recursive=True)
    return own, own + sum(sum(process.cpu_times()[:4]) for process in below)


def run(cell: Cell) -> dict[str, Any]:
    """Do the passes."""
    with opened(cell) as items:
        for index, item in enumerate(items):  # the pass that warms up
            check(item, index, cell)
            del item
        own, everybody = cpu_seconds()
        seconds = [one_pass(items, cell.items) for _ in range(cell.passes)]
        own_after, everybody_after = cpu_seconds()
    megabytes = cell.items * (cell.mib << 20) / 1e6
    return {
        "mb_per_second": cell.passes * megabytes / sum(seconds),
        "mb_per_second_of_passes": [megabytes / one for one in seconds],
        "cpu_receiver": own_after - own,
        "cpu_all": everybody_after - everybody,
    }


if __name__ == "__main__":
    print(json.dumps(run(Cell(**json.loads(sys.argv[1])))))
