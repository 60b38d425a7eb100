"""Whether slots can lie in huge pages."""

from __future__ import annotations

import re

from fastfeed.doctor.finding import Finding, Status
from fastfeed.machine.system import System

FOLDER = "sys/kernel/mm/transparent_hugepage"
WITHOUT_ASKING = ("always", "within_size", "force")


def look(system: System) -> Finding:
    """Look at what the kernel does for shared memory, which has a setting of its own."""
    shared = _chosen(system.text(f"{FOLDER}/shmem_enabled"))
    private = _chosen(system.text(f"{FOLDER}/enabled"))
    values = {"shared": shared, "private": private}
    if shared is None:
        return Finding("huge pages", Status.OK, "this kernel has none", values)
    seen = f"for shared memory: {shared}"
    if shared in WITHOUT_ASKING:
        return Finding("huge pages", Status.OK, seen, values, "Slots lie in huge pages.")
    return Finding(
        "huge pages", Status.NOTE, seen, values,
        "Slots lie in pages of 4 KiB. Copies are as fast; a Loader with large slots starts a "
        "little later, because making them and page-locking them for a GPU go page by page.",
        f"As root: echo within_size > /{FOLDER}/shmem_enabled",
    )  # fmt: skip


def _chosen(text: str | None) -> str | None:
    """Return the word in brackets: ``never`` in ``always advise [never]``."""
    found = re.search(r"\[(\w+)\]", text or "")
    return found[1] if found else None
