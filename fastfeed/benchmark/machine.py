"""Where figures come from: the machine, the versions, and how busy it was."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from typing import Any

from fastfeed.machine.system import System

PACKAGES = (
    "fastfeed", "numpy", "torch", "keras", "tensorflow", "tensorflow-cpu", "spdl", "grain",
    "opencv-python-headless", "opencv-python", "pillow",
)  # fmt: skip


def describe(packages: tuple[str, ...] = PACKAGES) -> dict[str, Any]:
    """Return what a reader must know to judge figures; no name of the machine or its user.

    Parameters
    ----------
    packages : tuple of str
        Whose versions matter.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": {"brand": System().cpu_model(), "usable": len(os.sched_getaffinity(0))},
        "memory_gib": round(memory / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "packages": {name: version for name in packages if (version := _version(name))},
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
