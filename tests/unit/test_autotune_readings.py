"""Who uses the processors, and how much of them."""

from __future__ import annotations

import math
import threading
import time
from pathlib import Path

import pytest

from fastfeed.machine import cpu
from fastfeed.machine.cpu import CpuMeter
from fastfeed.machine.system import System
from fastfeed.workers.clocks import cpu_seconds, process_clock, thread_clock

NOBODY = 2**22 + 1
"""Linux gives no process a number above 2**22."""


def burn(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def test_the_clock_of_a_process_is_its_own() -> None:
    before = cpu_seconds(process_clock(threading.main_thread().native_id or 0))
    assert before is not None and before == pytest.approx(time.process_time(), abs=0.05)
    burn(0.03)
    after = cpu_seconds(process_clock(threading.main_thread().native_id or 0))
    assert after is not None and after - before >= 0.03


def test_the_clock_of_a_thread_is_not_that_of_its_process() -> None:
    burn(0.02)
    waiting, go = threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: (waiting.set(), go.wait()))
    thread.start()
    assert waiting.wait(5) and thread.native_id
    used = cpu_seconds(thread_clock(thread.native_id))
    go.set()
    thread.join()
    assert used is not None and 0 < used < 0.02
    own = cpu_seconds(thread_clock(threading.get_native_id()))
    assert own == pytest.approx(time.thread_time(), abs=0.005)


def test_nobody_has_no_clock() -> None:
    assert cpu_seconds(process_clock(NOBODY)) is None
    assert cpu_seconds(thread_clock(NOBODY)) is None


def write(root: Path, files: dict[str, str]) -> System:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return System(root)


def cores(busy: int, idle: int) -> str:
    """/proc/stat of two cores, of which the second is somebody else's."""
    return (
        f"cpu  1 1 1 1 1 1 1 1 1 1\n"
        f"cpu0 {busy} 0 {busy} {idle} {idle} 0 0 0 {busy} 0\n"
        f"cpu1 0 0 0 {idle * 100} 0 0 0 0 0 0\nintr 5\n"
    )


@pytest.fixture
def one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu.os, "sched_getaffinity", lambda pid: {0})


def test_the_share_of_our_cores(tmp_path: Path, one_core: None) -> None:
    meter = CpuMeter(write(tmp_path, {"proc/stat": cores(100, 100)}))
    assert math.isnan(meter.ratio())  # nothing has been counted since
    write(tmp_path, {"proc/stat": cores(130, 110)})
    assert meter.ratio() == 0.75


@pytest.mark.parametrize(
    ("quota", "used"),
    [
        (
            {"cpu.max": "50000 100000"},
            lambda s: {"cpu.stat": f"usage_usec {int(s * 1e6)}\nuser_usec 1"},
        ),
        (
            {"cpu.cfs_quota_us": "50000", "cpu.cfs_period_us": "100000"},
            lambda s: {"cpuacct.usage": f"{int(s * 1e9)}"},
        ),
    ],
    ids=["version 2", "version 1"],
)
def test_a_quota_that_is_used_up_counts(
    tmp_path: Path, one_core: None, monkeypatch: pytest.MonkeyPatch, quota: dict, used: object
) -> None:
    version_2 = "cpu.max" in quota
    folder = "sys/fs/cgroup/a" if version_2 else "sys/fs/cgroup/cpu/a"
    now = [10.0]
    monkeypatch.setattr(cpu.time, "monotonic", lambda: now[0])

    def files(seconds: float, idle: int) -> dict[str, str]:
        inside = {f"{folder}/{name}": text for name, text in (quota | used(seconds)).items()}  # type: ignore[operator]
        group = "0::/a\n" if version_2 else "3:cpu,cpuacct:/a\n"
        return {"proc/self/cgroup": group, "proc/stat": cores(100, idle), **inside}

    meter = CpuMeter(write(tmp_path, files(7.0, 100)))
    now[0] = 14.0  # four seconds: of half a core's two, 1.9 were used
    write(tmp_path, files(8.9, 500))
    assert meter.ratio() == pytest.approx(0.95)


def test_where_nobody_says(tmp_path: Path) -> None:
    assert math.isnan(CpuMeter(System(tmp_path)).ratio())
