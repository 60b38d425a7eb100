"""``next()`` when a batch is ready: how long it takes, and which driver calls it makes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench.gpu.names import CALLS, CUPTI, FORWARD, NEXT, traced_by
from bench.gpu.ready import open_loader, wait_until_ready
from bench.gpu.record import Record
from bench.gpu.settings import Settings
from bench.harness import ROOT

FRAMEWORKS = ("torch", "cupy", "jax")
WORKERS = 4
WARM_UP = 50
PARTS = 5  # the calls are divided into so many rounds, each with its own percentiles
TRACED_CALLS = 200
LONGEST = 60.0  # seconds for a trace
NATIVE = ROOT / "bench" / "gpu" / "native"

SYNCHRONISES = re.compile(
    r"Synchronize|host waited|cuMemcpy(?!.*Async)|cuMemFree(?!Async)|cuMemHost|cuModuleLoad"
)
"""Driver calls during which the host waits for the device, or may."""


def measure(settings: Settings, record: Record) -> None:
    """Time next(), then look at its calls in both ways."""
    for framework in FRAMEWORKS:
        with record.attempt(NEXT, framework):
            timed(framework, settings, record)
    with tempfile.TemporaryDirectory() as folder:
        for way in (CUPTI, FORWARD):
            for framework in FRAMEWORKS[:2]:
                with record.attempt(CALLS, traced_by(framework, way)):
                    traced(way, framework, settings, record, Path(folder))


def timed(framework: str, settings: Settings, record: Record) -> None:
    """Record microseconds of next(): the median, the 99th percentile, and those of a drop."""
    with open_loader(framework, settings.device, WORKERS) as loader:
        batches = iter(loader)
        for _ in range(WARM_UP):
            next(batches)
        taken, dropped = [], []
        for _ in range(settings.calls):
            wait_until_ready(loader, batches)
            begin = time.perf_counter_ns()
            batch = next(batches)
            middle = time.perf_counter_ns()
            del batch
            dropped.append((time.perf_counter_ns() - middle) / 1000)
            taken.append((middle - begin) / 1000)
    rounds = np.array_split(np.array(taken), PARTS)
    record(
        NEXT, framework, "us", [float(np.median(part)) for part in rounds],
        p99=float(np.percentile(taken, 99)),
        highest=max(taken),
        drop=float(np.median(dropped)),
        drop_p99=float(np.percentile(dropped, 99)),
        calls=len(taken),
        sample=np.percentile(taken, np.linspace(0, 99.9, 200)).tolist(),
    )  # fmt: skip


def traced(way: str, framework: str, settings: Settings, record: Record, folder: Path) -> None:
    """Record how many calls of next() made the host wait: of so many, and all calls by name."""
    library = build(way, folder)
    calls = min(TRACED_CALLS, settings.calls)
    environment = {"FASTFEED_CUDA_LIBRARY": str(library)} if way == FORWARD else {}
    command = [sys.executable, "-m", "bench.gpu.traced", way, str(library), framework, str(calls)]
    done = subprocess.run(
        [*command, settings.device],
        env=os.environ | environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LONGEST,
    )
    if done.returncode or not done.stdout.strip():
        raise RuntimeError(f"status {done.returncode}: {done.stderr[-3000:]}")
    found: dict[str, dict[str, int]] = json.loads(done.stdout.splitlines()[-1])
    check(way, found, settings)
    waits = sum(count for name, count in found["next"].items() if SYNCHRONISES.search(name))
    record(CALLS, traced_by(framework, way), "synchronising calls", [waits], calls=calls, **found)


def check(way: str, found: dict[str, Any], settings: Settings) -> None:
    """Raise AssertionError if the trace is blind: then it proves nothing."""
    if settings.is_rehearsal:
        return
    if not found["next"]:
        raise AssertionError(f"the trace sees no call of the driver: {found}")
    if way == CUPTI and not any(SYNCHRONISES.search(name) for name in found["control"]):
        raise AssertionError(f"the trace does not see a synchronisation: {found}")


def build(way: str, folder: Path) -> Path:
    """Compile one of the native helpers."""
    library = folder / f"trace-{way}.so"
    if not library.exists():
        compiler = os.environ.get("CC", "cc").split()
        flags = ["-std=c11", "-D_GNU_SOURCE", "-O2", "-shared", "-fPIC", f"-I{ROOT / 'csrc'}"]
        files = [str(NATIVE / f"{way}.c"), "-o", str(library), "-ldl"]
        subprocess.run([*compiler, *flags, *files], check=True, capture_output=True, text=True)
    return library
