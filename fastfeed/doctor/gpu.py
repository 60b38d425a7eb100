"""The GPU, its driver, and whether slots can be page-locked for it."""

from __future__ import annotations

import errno
import os
import re
import resource

from fastfeed._core import Device, Segment, create_memory
from fastfeed.devices.cuda import NO_DEVICE, open_device, version
from fastfeed.doctor import bus
from fastfeed.doctor.finding import Finding, Status
from fastfeed.doctor.versions import installed
from fastfeed.errors import ArgumentError, DeviceError, DeviceUnavailable, gib
from fastfeed.machine.system import System
from fastfeed.monitor.words import count

CARDS = "sys/bus/pci/devices"
NVIDIA, DISPLAY = "0x10de", "0x03"
"""How PCI numbers the maker, and begins the number of the kind."""


def look(system: System) -> list[Finding]:
    """Open the first GPU, as ``device="cuda"`` does; page-lock memory and copy from it.

    That there is none is no error.
    """
    try:
        device = open_device(0)
    except (DeviceUnavailable, ArgumentError) as error:
        return [_absent(system, error), _unused_limit()]
    with bus.opened(device) as driver:
        return [
            _present(system, device, driver),
            *_cupy(device),
            *_locked_and_copied(device, driver),
        ]


def _absent(system: System, error: Exception) -> Finding:
    fails = isinstance(error, DeviceUnavailable) and error.code not in (-errno.ENOENT, NO_DEVICE)
    if fails or (system.root / "dev/nvidia0").exists():
        return Finding(
            "GPU", Status.WARNING, "there is one that cannot be used", {"error": str(error)},
            'Loader(device="cuda") fails; batches in host memory work.', str(error),
        )  # fmt: skip
    if _has_card(system):
        return Finding(
            "GPU", Status.NOTE, "a card, but no driver for it here", {"error": str(error)},
            "Batches lie in host memory.", str(error),
        )  # fmt: skip
    return Finding(
        "GPU", Status.OK, "none", {"error": str(error)},
        "Batches lie in host memory, which needs none.",
    )  # fmt: skip


def _has_card(system: System) -> bool:
    """Return whether NVIDIA's display or compute cards are on the bus."""
    folders = [path.parent.relative_to(system.root) for path in system.glob(f"{CARDS}/*/vendor")]
    return any(
        system.text(f"{folder}/vendor") == NVIDIA
        and (system.text(f"{folder}/class") or "").startswith(DISPLAY)
        for folder in folders
    )


def _present(system: System, device: Device, driver: bus.Driver) -> Finding:
    free, total = driver.memory_bytes()
    about = system.text("proc/driver/nvidia/version") or ""
    package = re.search(r"Kernel Module.*?(\d+\.\d+(\.\d+)?)", about)
    node = system.number(f"{CARDS}/{device.bus.lower()}/numa_node")
    values = {
        "name": device.name,
        "count": driver.count(),
        "bus": device.bus,
        "cuda_version": version(device.driver_version),
        "driver_version": package[1] if package else None,
        "free_bytes": free,
        "total_bytes": total,
        "numa_node": node if node is not None and node >= 0 else None,
    }
    seen = f"{device.name}, {gib(free)} of {gib(total)} free, CUDA {values['cuda_version']}"
    seen += f", driver {package[1]}" if package else ""
    if driver.count() > 1:
        seen += f"; the first of {count(driver.count(), 'GPU')}"
    return Finding("GPU", Status.OK, seen, values)


def _cupy(device: Device) -> list[Finding]:
    """Complain about a CuPy for a newer CUDA than the driver's. It is not imported."""
    for name in installed("cupy"):
        found = re.fullmatch(r"cupy-cuda(\d+)x", name)
        can_do = device.driver_version // 1000
        if found and int(found[1]) > can_do:
            return [
                Finding(
                    "cupy", Status.WARNING, f"{name}, and a driver for CUDA {can_do}", {},
                    'Loader(device="cuda") with framework="cupy" or device_transform fails.',
                    f"pip uninstall {name}, then pip install cupy-cuda{can_do}x; or a newer driver",
                )
            ]  # fmt: skip
    return []


def _unused_limit() -> Finding:
    limit, text = _limit()
    return Finding(
        "page-locking", Status.OK, f"limit of locked memory {text} (ulimit -l)",
        {"limit_bytes": limit}, "It counts only with a GPU.",
    )  # fmt: skip


def _limit() -> tuple[int | None, str]:
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    return (None, "unlimited") if soft == resource.RLIM_INFINITY else (soft, gib(soft))


def _locked_and_copied(device: Device, driver: bus.Driver) -> list[Finding]:
    """Page-lock slots as a Loader does, and copy from them and from other memory."""
    fd = create_memory("fastfeed-doctor", bus.PIECE)
    try:
        slots = Segment(fd, bus.PIECE, 1)
    finally:
        os.close(fd)
    limit, text = _limit()
    values = {"limit_bytes": limit, "tried_bytes": bus.PIECE}
    try:
        device.pin(slots)
    except DeviceError as error:
        refused = Finding(
            "page-locking", Status.WARNING,
            f"the driver refused {gib(bus.PIECE)}; limit of locked memory {text} (ulimit -l)",
            values | {"locked": False, "error": str(error)},
            "Every batch is copied once more on the host.",
            "ulimit -l unlimited before the job; docker --ulimit memlock=-1.",
        )  # fmt: skip
        return [refused, bus.copies_to_gpu(driver, None)]
    locked = Finding(
        "page-locking", Status.OK,
        f"{gib(bus.PIECE)} of slots page-locked; limit of locked memory {text} (ulimit -l)",
        values | {"locked": True},
    )  # fmt: skip
    return [locked, bus.copies_to_gpu(driver, slots)]
