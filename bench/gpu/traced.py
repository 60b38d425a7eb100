"""``python -m bench.gpu.traced WAY LIBRARY FRAMEWORK CALLS DEVICE``: next() and the driver.

Prints, as JSON, how often the calling thread called each function of the driver in ``next()``, when
a batch is dropped, and in a synchronisation that serves as a check of the trace itself. It runs in
a process of its own, as either way is there from the start to the end of one.
"""

from __future__ import annotations

import ctypes
import glob
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.gpu.names import CUPTI
from bench.gpu.ready import open_loader, wait_until_ready

WARM_UP = 30
WORKERS = 4
CUPTI_PLACES = (
    "nvidia/*/lib/libcupti.so.*", "nvidia/cuda_cupti/lib/libcupti.so.*",
)  # fmt: skip
TOOLKIT_PLACES = (
    "/usr/local/cuda*/extras/CUPTI/lib64/libcupti.so.*",
    "/usr/local/cuda*/lib64/libcupti.so.*",
)


class Trace:
    """Counts of driver calls by this thread.

    Parameters
    ----------
    library : str
        Made from `bench/gpu/native`.
    """

    def __init__(self, library: str):
        self._c = ctypes.CDLL(library)
        self._c.calls_name.restype = ctypes.c_char_p
        self._c.calls_count.restype = ctypes.c_ulong

    def start_cupti(self) -> None:
        """Have CUPTI call back."""
        for library in cupti_libraries():
            if (code := self._c.cupti_start(library.encode())) == 0:
                return
            print(f"{library}: {code}", file=sys.stderr)
        raise RuntimeError("CUPTI cannot be used here")

    def during(self, action: Callable[[], Any], into: dict[str, int]) -> Any:
        """Do something; add the calls that this thread makes to `into`."""
        before = self._counts()
        self._c.calls_arm(1)
        try:
            return action()
        finally:
            self._c.calls_arm(0)
            for name, count in self._counts().items():
                if count > before.get(name, 0):
                    into[name] = into.get(name, 0) + count - before.get(name, 0)

    def _counts(self) -> dict[str, int]:
        return {
            self._c.calls_name(i).decode(): self._c.calls_count(i)
            for i in range(self._c.calls_names())
        }


def cupti_libraries() -> list[str]:
    """Return where CUPTI may be: what PyTorch has loaded already comes first."""
    import torch  # loads it

    packages = Path(torch.__file__).resolve().parent.parent
    maps = Path("/proc/self/maps").read_text().splitlines()
    loaded = {line.split()[-1] for line in maps if "libcupti.so" in line}
    found = [file for place in CUPTI_PLACES for file in sorted(glob.glob(str(packages / place)))]
    found += [file for place in TOOLKIT_PLACES for file in sorted(glob.glob(place))]
    return [*sorted(loaded), *found, "libcupti.so.13", "libcupti.so.12", "libcupti.so"]


def consumer_synchronises(framework: str) -> None:
    """Wait on the host for the device: what a trace must see."""
    if framework == "cupy":
        import cupy

        cupy.cuda.Stream.null.synchronize()
    else:
        import torch

        torch.cuda.synchronize()


def main(way: str, library: str, framework: str, calls: str, device: str) -> None:
    """Trace."""
    trace = Trace(library)
    if way == CUPTI:
        trace.start_cupti()
    found: dict[str, dict[str, int]] = {"next": {}, "drop": {}, "control": {}}
    kept: list[Any] = []
    with open_loader(framework, device, WORKERS) as loader:
        batches = iter(loader)
        for _ in range(WARM_UP):
            next(batches)
        for _ in range(int(calls)):
            wait_until_ready(loader, batches)
            kept.append(trace.during(lambda: next(batches), found["next"]))
            trace.during(kept.clear, found["drop"])
        if way == CUPTI:
            trace.during(lambda: consumer_synchronises(framework), found["control"])
    print(json.dumps(found), flush=True)
    os._exit(0)  # libraries that CUPTI calls back into are not taken down in the right order


if __name__ == "__main__":
    main(*sys.argv[1:])
