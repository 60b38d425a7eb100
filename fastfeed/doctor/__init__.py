"""What this machine offers, what would go wrong on it, and the cure: ``fastfeed doctor``.

Each topic has a file, whose function `look` returns a `Finding`, or several. None of them changes
anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from fastfeed.doctor import (
    copies,
    cores,
    files,
    gpu,
    kernel,
    memory,
    numa,
    pages,
    shm,
    versions,
    workers,
)
from fastfeed.doctor.finding import Finding, Status
from fastfeed.machine.system import System

__all__ = ["Finding", "Status", "System", "examine"]

Look = Callable[[], Finding | list[Finding]]


def examine(system: System | None = None) -> Iterator[Finding]:
    """Look at one topic after the other; takes two seconds or three.

    Parameters
    ----------
    system : System, optional
        Where to read what the kernel says. Default: this machine.
    """
    system = system or System()
    topics: dict[str, Look] = {
        "versions": versions.look,
        "kernel": kernel.look,
        "cores": partial(cores.look, system),
        "memory": partial(memory.look, system),
        "NUMA": partial(numa.look, system),
        "huge pages": partial(pages.look, system),
        "/dev/shm": partial(shm.look, system),
        "open files": partial(files.look, system),
        "workers": workers.look,
        "copies": copies.look,
        "GPU": partial(gpu.look, system),
    }
    for name, look in topics.items():
        yield from _findings(name, look)


def _findings(name: str, look: Look) -> list[Finding]:
    """Return the findings of a topic. One that fails must not hide the others."""
    try:
        found = look()
    except Exception as error:
        return [
            Finding(
                name, Status.WARNING, f"could not be looked at ({type(error).__name__})",
                {"error": str(error)}, str(error) or "No reason was given.",
                "Please report it, with this line.",
            )
        ]  # fmt: skip
    return found if isinstance(found, list) else [found]
