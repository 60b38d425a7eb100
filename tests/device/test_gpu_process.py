"""A real GPU and whole processes: limits, memory that runs out, errors, and sudden ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from gpu_support import Constant, framework

from fastfeed import ArraySpec, Loader
from fastfeed.errors import DeviceOutOfMemory

pytestmark = pytest.mark.gpu

HERE = Path(__file__).resolve().parent
MIB = 2**20
LIMIT_S = 100


def start(name: str, **environment: str) -> subprocess.Popen[str]:
    """Start a program of gpu_programs.py."""
    own = [str(HERE), str(HERE.parent), str(HERE.parents[1])]
    path = os.pathsep.join([*own, *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(
        [sys.executable, str(HERE / "gpu_programs.py"), name],
        env={**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def result_of(name: str, **environment: str) -> Any:
    """Run a program to its end; return what it has found."""
    process = start(name, **environment)
    try:
        out, errors = process.communicate(timeout=LIMIT_S)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    return json.loads(out.splitlines()[-1])


def soon(condition: Callable[[], object], seconds: float = 20) -> bool:
    """Wait until a callable returns something true."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_a_limit_of_locked_memory_costs_a_copy_at_the_most() -> None:
    framework("cupy")
    found = result_of("locked_memory")
    assert found["right"] == 20
    if found["pinned"]:  # root may lock what it likes, and some drivers do not ask
        assert (found["host_copies"], found["warned"]) == (0, [])
    else:
        assert found["host_copies"] == found["uploads"]
        assert len(found["warned"]) == 1
        assert "ulimit -l" in found["warned"][0]


def test_an_illegal_access_comes_out_of_next_and_the_loader_closes() -> None:
    framework("cupy")
    found = result_of("illegal_access")
    assert "Error: " in found["raised"]
    assert "CUDA_LAUNCH_BLOCKING" in found["raised"]
    assert found["workers"] == 0


def test_one_context_serves_all_frameworks() -> None:
    for name in ("cupy", "torch", "jax"):
        framework(name)
    found = result_of("contexts", XLA_PYTHON_CLIENT_PREALLOCATE="false")
    assert found["primary"]
    assert set(found.values()) == {found["primary"]}, found


class Large(Constant):
    """Batches of 256 MiB."""

    spec = ArraySpec((256, MIB), "uint8")


@pytest.fixture
def hog() -> Iterator[list[Any]]:
    """Nearly all of the GPU's memory."""
    torch = framework("torch").torch
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info()
    held = [torch.empty(free - 200 * MIB, dtype=torch.uint8, device="cuda")]
    yield held
    held.clear()
    torch.cuda.empty_cache()


def test_a_gpu_without_memory_is_told_of_and_may_be_used_again(hog: list[Any]) -> None:
    import torch

    options: dict[str, Any] = {"device": "cuda", "framework": "torch", "max_queue_size": 1}
    with Loader(Large(3), workers=1, **options) as loader:
        with pytest.raises(DeviceOutOfMemory):
            list(loader)
        hog.clear()
        torch.cuda.empty_cache()
    with Loader(Large(3), workers=1, **options) as loader:
        assert [int(batch[0, 0]) for batch in loader] == [0, 1, 2]


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that is only to be reaped holds nothing."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def free_memory() -> int:
    """Return what is free on the GPU, whoever uses the rest."""
    import cupy

    return int(cupy.cuda.runtime.memGetInfo()[0])


def test_a_killed_parent_leaves_nothing_behind() -> None:
    """Not its workers, so not its shared memory, and no memory on the GPU."""
    framework("cupy")
    before = free_memory()
    process = start("to_be_killed")
    assert process.stdout is not None
    try:
        workers = json.loads(process.stdout.readline())["workers"]
        assert len(workers) == 2
        assert free_memory() < before - 100 * MIB  # its context alone is more
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=LIMIT_S)
    assert soon(lambda: not any(map(is_alive, workers)))
    assert soon(lambda: free_memory() > before - 16 * MIB)


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_keras_trains_on_the_gpu(backend: str) -> None:
    pytest.importorskip("keras")
    framework(backend)
    found = result_of(
        "keras_fit", KERAS_BACKEND=backend, XLA_PYTHON_CLIENT_PREALLOCATE="false"
    )  # fmt: skip
    assert found["found"] == pytest.approx(found["expected"], rel=1e-4)
    assert found["apart"] < 1e-3
    assert found["evaluated"][0] == pytest.approx(found["evaluated"][1], rel=1e-3)
