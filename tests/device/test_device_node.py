"""On a machine with several memory nodes the slots lie on the one next to the GPU."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from simulated_gpu import Gpu

import fastfeed
from fastfeed import _core, slots
from fastfeed.devices import cuda


def describe(root: Path, bus: str, nodes: str, node: int) -> None:
    """Write what the kernel says of such a machine."""
    folder = root / "sys/devices/system/node"
    folder.mkdir(parents=True)
    (folder / "has_memory").write_text(f"{nodes}\n")
    device = root / "sys/bus/pci/devices" / bus.lower()
    device.mkdir(parents=True)
    (device / "numa_node").write_text(f"{node}\n")


@pytest.mark.parametrize("nodes, node, expected", [("0-1", 0, 0), ("0-1", 1, 1), ("0", 0, -1)])
def test_slots_are_made_on_the_node_next_to_the_gpu(
    gpu: Gpu,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    nodes: str,
    node: int,
    expected: int,
) -> None:
    describe(tmp_path, _core.Device(0, str(gpu.lib._name)).bus, nodes, node)
    monkeypatch.setattr(cuda, "SYSTEM", str(tmp_path))
    asked = []

    def create_memory(*arguments: Any) -> int:
        asked.append(arguments[-1])
        return _core.create_memory(*arguments)

    monkeypatch.setattr(slots, "create_memory", create_memory)
    source = [np.full(100, index) for index in range(5)]
    with fastfeed.Loader(source, workers=1, device="cuda") as loader:
        assert [int(np.asarray(batch)[0]) for batch in loader] == list(range(5))
    assert asked == [expected]


def test_a_node_that_does_not_exist_is_no_error() -> None:
    fd = _core.create_memory("fastfeed-test", 4096, "", 1000)
    mapping = _core.Mapping(fd)
    os.close(fd)
    mapping.copy_in(0, b"written")
    assert bytes(memoryview(mapping)[:7]) == b"written"
