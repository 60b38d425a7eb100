"""What the doctor says about a GPU, on the simulated driver; with ``-m gpu`` on the real one."""

from __future__ import annotations

import ctypes
import importlib
import resource
import sys
from pathlib import Path

import pytest
from simulated_gpu import Gpu

from fastfeed.doctor import Finding, Status, System, bus
from fastfeed.doctor.gpu import look

OUT_OF_MEMORY = 2
NO_DEVICE = 100
ILLEGAL_ADDRESS = 700
NVRM = "NVRM version: NVIDIA UNIX {} Kernel Module{}  570.86.15  Thu Jan 23 2025\nGCC version: 1\n"


def findings(root: Path = Path("/")) -> dict[str, Finding]:
    """By their names."""
    return {finding.name: finding for finding in look(System(root))}


def write(root: Path, name: str, text: str = "") -> None:
    """Give a machine a file."""
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


def test_a_gpu_is_described_and_measured(gpu: Gpu) -> None:
    found = findings()
    assert {finding.status for finding in found.values()} == {Status.OK}
    about = found["GPU"].values
    assert (about["name"], about["count"], about["cuda_version"]) == ("Simulated GPU 0", 2, "13.0")
    assert 0 < about["free_bytes"] <= about["total_bytes"]
    assert found["page-locking"].values["locked"] is True
    rates = found["copies to GPU"].values
    assert rates["page_locked_gb_per_s"] > 0
    assert rates["pageable_gb_per_s"] > 0


def test_page_locked_and_pageable_memory_are_really_two_kinds(
    gpu: Gpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered = []
    measure = bus._gb_per_s

    def seen(driver, target, source, stream):  # type: ignore[no-untyped-def]
        address = ctypes.c_void_p(source.ctypes.data)
        size = ctypes.c_size_t(source.nbytes)
        registered.append(bool(gpu.lib.sim_is_host_registered(address, size)))
        return measure(driver, target, source, stream)

    monkeypatch.setattr(bus, "_gb_per_s", seen)
    findings()
    assert registered == [False, True]


@pytest.mark.parametrize(("which", "end"), [("x86_64", ""), ("Open", " for x86_64")])
def test_driver_and_node_are_read_from_the_kernel(
    gpu: Gpu, tmp_path: Path, which: str, end: str
) -> None:
    write(tmp_path, "proc/driver/nvidia/version", NVRM.format(which, end))
    write(tmp_path, "sys/bus/pci/devices/0000:00:00.0/numa_node", "1\n")
    about = findings(tmp_path)["GPU"]
    assert (about.values["driver_version"], about.values["numa_node"]) == ("570.86.15", 1)
    assert "driver 570.86.15" in about.seen


def test_refused_page_locking_is_a_warning_and_the_rest_is_measured(gpu: Gpu) -> None:
    gpu.fail("cuMemHostRegister_v2", 1, OUT_OF_MEMORY)
    found = findings()
    assert found["page-locking"].status is Status.WARNING
    assert "memlock=-1" in found["page-locking"].cure
    rates = found["copies to GPU"].values
    assert rates["page_locked_gb_per_s"] is None
    assert rates["pageable_gb_per_s"] > 0


@pytest.mark.parametrize(
    ("call", "code", "word"),
    [
        ("cuMemAlloc_v2", OUT_OF_MEMORY, "no room"),
        ("cuMemcpyHtoDAsync_v2", ILLEGAL_ADDRESS, "cuMemcpyHtoDAsync_v2 failed"),
        ("cuStreamCreate", OUT_OF_MEMORY, "no room"),
    ],
)
def test_copies_that_fail_are_a_warning(gpu: Gpu, call: str, code: int, word: str) -> None:
    gpu.fail(call, 1, code)
    found = findings()["copies to GPU"]
    assert found.status is Status.WARNING
    assert word in found.means


def test_a_driver_that_is_too_old(gpu: Gpu) -> None:
    gpu.lib.sim_driver_version(11010)
    found = findings()
    assert found["GPU"].status is Status.WARNING
    assert "11.2 or newer" in found["GPU"].cure


def test_a_cupy_for_a_newer_cuda(gpu: Gpu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "cupy_cuda13x-13.6.0.dist-info/METADATA", "Name: cupy-cuda13x\nVersion: 13.6\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    importlib.invalidate_caches()
    assert "cupy" not in findings()
    gpu.lib.sim_driver_version(12040)
    assert "pip install cupy-cuda12x" in findings()["cupy"].cure


def test_no_gpu_is_no_error(gpu: Gpu, tmp_path: Path) -> None:
    gpu.close()
    gpu.lib.sim_devices(0)
    found = findings(tmp_path)
    assert [finding.status for finding in found.values()] == [Status.OK, Status.OK]
    assert found["GPU"].seen == "none"


def test_no_driver_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTFEED_CUDA_LIBRARY", str(tmp_path / "libcuda.so.1"))
    found = findings(tmp_path)
    assert (found["GPU"].status, found["GPU"].seen) == (Status.OK, "none")
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    unlimited = soft == resource.RLIM_INFINITY
    assert found["page-locking"].values["limit_bytes"] == (None if unlimited else soft)


@pytest.mark.parametrize(
    ("files", "status", "seen"),
    [
        ({"vendor": "0x10de\n", "class": "0x030200\n"}, Status.NOTE, "a card, but no driver"),
        ({"vendor": "0x10de\n", "class": "0x040300\n"}, Status.OK, "none"),
        ({"vendor": "0x1002\n", "class": "0x030000\n"}, Status.OK, "none"),
    ],
    ids=["its GPU", "its sound", "another maker's"],
)
def test_a_card_without_a_driver(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    files: dict[str, str],
    status: Status,
    seen: str,
) -> None:
    monkeypatch.setenv("FASTFEED_CUDA_LIBRARY", str(tmp_path / "libcuda.so.1"))
    for name, text in files.items():
        write(tmp_path, f"sys/bus/pci/devices/0000:3b:00.0/{name}", text)
    found = findings(tmp_path)["GPU"]
    assert found.status is status
    assert seen in found.seen


def test_a_device_file_without_a_driver_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTFEED_CUDA_LIBRARY", str(tmp_path / "libcuda.so.1"))
    write(tmp_path, "dev/nvidia0")
    found = findings(tmp_path)["GPU"]
    assert found.status is Status.WARNING
    assert "No CUDA driver was found" in found.cure


@pytest.mark.gpu
def test_the_real_gpu() -> None:
    found = findings()
    if found["GPU"].seen == "none":
        pytest.skip("no GPU")
    assert found["GPU"].values["total_bytes"] > 1 << 30
    rates = found["copies to GPU"].values
    assert rates["pageable_gb_per_s"] > 0
    assert found["page-locking"].values["locked"] == (rates["page_locked_gb_per_s"] is not None)
