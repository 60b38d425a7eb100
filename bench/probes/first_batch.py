"""How long until the first batch, in a script that imports TensorFlow at its top level.

Run by its path, as a user's script is: the source class is defined in ``__main__``, beside the
import that no worker should have to pay for.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import psutil
import tensorflow  # noqa: F401

import fastfeed


class Constant:
    """A source that needs nothing but NumPy."""

    def __len__(self) -> int:
        return 64

    def __getitem__(self, index: int) -> np.ndarray:
        return np.full((32, 16), index, np.float32)


def memory() -> dict[str, float]:
    """Return MB of PSS: this process, its helpers (children), its workers (grandchildren)."""
    script = psutil.Process()
    found = {"script": _pss(script)}
    for child in script.children():
        found[f"helper {child.pid}"] = _pss(child)
        for worker in child.children():
            found[f"worker {worker.pid}"] = _pss(worker)
    return found


def _pss(process: psutil.Process) -> float:
    return float(process.memory_full_info().pss / 1e6)


def main() -> None:
    """Open a loader, take its first batch, look at its workers, then take the rest."""
    begin = time.perf_counter()
    with fastfeed.Loader(Constant(), workers=2) as loader:
        batches = iter(loader)
        first = next(batches)
        seconds = time.perf_counter() - begin
        wrong = int(first[0, 0] != 0)
        del first
        wrong += sum(int(batch[0, 0] != index) for index, batch in enumerate(batches, 1))
        pss = memory()
    if wrong:
        sys.exit(f"{wrong} batches held something else")
    print(json.dumps({"seconds": seconds, "pss_mb": pss}))


if __name__ == "__main__":
    main()
