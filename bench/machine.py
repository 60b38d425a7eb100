"""Where the figures come from: the machine, the versions, and how busy it was."""

from __future__ import annotations

import os
import platform
import re
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "fastfeed", "numpy", "torch", "keras", "tensorflow-cpu", "tensorflow", "jax",
    "nvidia-dali-cuda130", "opencv-python-headless", "pytest-benchmark", "spdl", "webdataset",
)  # fmt: skip


def cpu_model() -> str:
    """Return the processor's name as the kernel has it."""
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def describe(command: str, load_at_start: tuple[float, float, float]) -> dict[str, Any]:
    """Return what a reader must know to judge the figures; no name of the machine or its user."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "command": command,
        "cpu": {"brand": cpu_model(), "usable": len(os.sched_getaffinity(0))},
        "memory_gib": round(memory / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "load_average": {
            "start": [round(load, 2) for load in load_at_start],
            "end": [round(load, 2) for load in os.getloadavg()],
        },
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
