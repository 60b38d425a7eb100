"""What this machine offers, what would go wrong on it, and the cure: ``fastfeed doctor``.

Each topic has a file, with a function that returns a `Finding`. None of them changes anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from fastfeed.doctor.copies import copies
from fastfeed.doctor.cores import cores
from fastfeed.doctor.files import open_files
from fastfeed.doctor.finding import Finding, Status
from fastfeed.doctor.gpu import gpu
from fastfeed.doctor.kernel import kernel
from fastfeed.doctor.memory import memory
from fastfeed.doctor.numa import numa
from fastfeed.doctor.pages import huge_pages
from fastfeed.doctor.shm import dev_shm
from fastfeed.doctor.system import System
from fastfeed.doctor.versions import versions
from fastfeed.doctor.workers import workers

__all__ = ["Finding", "Status", "System", "examine"]

Topic = Callable[[], Finding | list[Finding]]


def examine(system: System | None = None) -> Iterator[Finding]:
    """Look at one topic after the other; takes two seconds or three.

    Parameters
    ----------
    system : System, optional
        Where to read what the kernel says. Default: this machine.
    """
    system = system or System()
    of_system = (cores, memory, numa, huge_pages, dev_shm, open_files)
    yield from _looked_at("versions", versions)
    yield from _looked_at("kernel", kernel)
    for topic in of_system:
        yield from _looked_at(topic.__name__, partial(topic, system))
    yield from _looked_at("workers", workers)
    yield from _looked_at("copies", copies)
    yield from _looked_at("GPU", partial(gpu, system))


def _looked_at(name: str, topic: Topic) -> list[Finding]:
    """Return the findings of a topic. One that fails must not hide the others."""
    try:
        found = topic()
    except Exception as error:
        return [
            Finding(
                name, Status.WARNING, f"could not be looked at ({type(error).__name__})",
                {"error": str(error)}, str(error) or "No reason was given.",
                "Please report it, with this line.",
            )
        ]  # fmt: skip
    return found if isinstance(found, list) else [found]
