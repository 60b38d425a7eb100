"""What tuning may use, from what the kernel says."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastfeed.machine.limits import default_memory_bytes, usable_cores
from fastfeed.machine.system import System

GIB = 1 << 30


def system(root: Path, files: dict[str, str]) -> System:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return System(root)


@pytest.mark.parametrize(
    ("total_gib", "limit_gib", "expected"),
    [
        (64, None, 2 * GIB),
        (8, None, int(0.8 * GIB)),
        (64, 4, int(0.4 * GIB)),
        (8, 64, int(0.8 * GIB)),
    ],
)
def test_memory(tmp_path: Path, total_gib: int, limit_gib: int | None, expected: int) -> None:
    files = {"proc/meminfo": f"MemTotal: {total_gib << 20} kB\n"}
    if limit_gib:
        files |= {
            "proc/self/cgroup": "0::/a\n",
            "sys/fs/cgroup/a/memory.max": str(limit_gib * GIB),
        }
    assert default_memory_bytes(system(tmp_path, files)) == pytest.approx(expected, abs=1)


def test_memory_where_nobody_says(tmp_path: Path) -> None:
    assert default_memory_bytes(System(tmp_path)) == 2 * GIB


@pytest.mark.parametrize(("written", "cores"), [("max 100000", 8), ("150000 100000", 1.5)])
def test_cores(tmp_path: Path, written: str, cores: float) -> None:
    files = {"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/cpu.max": written}
    assert usable_cores(system(tmp_path, files), affinity=8) == cores
