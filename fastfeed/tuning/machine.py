"""Where something was measured, and with what."""

from __future__ import annotations

import platform
from typing import Any

from fastfeed.doctor.versions import OLDEST, installed
from fastfeed.machine.limits import usable_cores
from fastfeed.machine.system import System


def machine(system: System | None = None) -> dict[str, Any]:
    """Return what the results depend on; nothing that names the machine or its user."""
    system = system or System()
    return {
        "cpu": system.cpu_model(),
        "usable_cores": usable_cores(system),
        "memory_bytes": system.meminfo_bytes("MemTotal"),
        "kernel": platform.release(),
    }


def versions() -> dict[str, str]:
    """Return the versions of Python, fastfeed and the frameworks; imports none of them."""
    found = {"python": platform.python_version()}
    for package in ("fastfeed", *OLDEST):
        here = installed(package)
        if here:
            found[package] = next(iter(here.values()))
    return found
