"""Where the figures come from: the card, its driver and its link, the host."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from bench import machine

QUERY = (
    "name", "driver_version", "memory.total", "pcie.link.gen.current", "pcie.link.gen.max",
    "pcie.link.width.current", "clocks.sm", "clocks.max.sm", "clocks.mem", "power.limit",
    "temperature.gpu",
)  # fmt: skip
PACKAGES = ("cupy-cuda13x", "cupy-cuda12x", "spdl", "jaxlib", "Cython", "pytest")
HUGE = Path("/sys/kernel/mm/transparent_hugepage/shmem_enabled")
NODES = Path("/sys/devices/system/node")


CUPY = """
import cupy
runtime = cupy.cuda.runtime
print(runtime.getDeviceProperties(0)["name"].decode(), runtime.driverGetVersion(), sep=",")
"""


def card() -> dict[str, str]:
    """Return what is known about the first card; empty without one."""
    return _of_nvidia_smi() or _of_cupy()


def _of_cupy() -> dict[str, str]:
    try:
        said = subprocess.run(
            [sys.executable, "-c", CUPY], capture_output=True, text=True, timeout=60, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    name, version = said.strip().splitlines()[-1].split(",")
    return {"name": name, "driver_version": f"for CUDA {version}"}


def _of_nvidia_smi() -> dict[str, str]:
    try:
        said = subprocess.run(
            ["nvidia-smi", f"--query-gpu={','.join(QUERY)}", "--format=csv,noheader", "--id=0"],
            capture_output=True, text=True, timeout=60, check=True,
        ).stdout  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return {}
    values = [value.strip() for value in said.strip().splitlines()[0].split(",")]
    return dict(zip(QUERY, values, strict=False))


def describe(command: str, load_at_start: tuple[float, float, float]) -> dict[str, Any]:
    """Return what a reader must know to judge the figures; no name of the machine or its user."""
    about = machine.describe(command, load_at_start)
    about["packages"] |= {name: found for name in PACKAGES if (found := _version(name))}
    return about | {
        "at": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "card": card(),
        "commit": commit(),
        "memlock_bytes": resource.getrlimit(resource.RLIMIT_MEMLOCK)[0],
        "shmem_huge_pages": HUGE.read_text().strip() if HUGE.exists() else "no such file",
        "numa_nodes": len(list(NODES.glob("node[0-9]*"))) if NODES.exists() else 0,
    }


def commit() -> str:
    """Return the commit that is measured; FASTFEED_COMMIT where there is no repository."""
    if given := os.environ.get("FASTFEED_COMMIT"):
        return given
    try:
        return subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=10"],
            capture_output=True, text=True, timeout=20, check=True,
            cwd=Path(__file__).parent,
        ).stdout.strip()  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def slug(name: str) -> str:
    """Return a name as it can be part of a file's."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "unknown-card"


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
