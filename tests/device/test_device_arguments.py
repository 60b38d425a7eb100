"""What cannot be had from a GPU, or from this machine, is refused with the cure."""

from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from device_support import Batches, each_kind, indices, outcomes
from leftovers import eventually, worker_pids
from simulated_gpu import Gpu

from fastfeed import Loader
from fastfeed.devices import arrays
from fastfeed.errors import (
    ArgumentError,
    DeviceError,
    DeviceOutOfMemory,
    DeviceUnavailable,
    SourceError,
)


def refused(gpu: Gpu, kind: type[Exception], match: str, **options: Any) -> str:
    """See that a Loader is refused twice, that nothing is left; return the message."""
    options = {"device": "cuda", "workers": 2, **options}
    retained = gpu.live("contexts")
    for _ in range(2):
        with pytest.raises(kind, match=match) as caught:
            Loader(Batches(5), **options)
        message = str(caught.value)
        del caught
        assert eventually(lambda: not worker_pids())
        assert gpu.live("contexts") == retained
    return message


# -- the driver -----------------------------------------------------------------------------


def test_without_a_driver_that_is_said_and_what_to_do(
    gpu: Gpu, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FASTFEED_CUDA_LIBRARY", str(tmp_path / "missing.so"))
    message = refused(gpu, DeviceUnavailable, "No CUDA driver was found")
    for cure in ("docker run --gpus all", "leave out device", "missing.so"):
        assert cure in message


def test_a_machine_without_the_usual_library_has_no_driver(
    gpu: Gpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        import ctypes

        ctypes.CDLL("libcuda.so.1")
    except OSError:
        monkeypatch.delenv("FASTFEED_CUDA_LIBRARY")
        refused(gpu, DeviceUnavailable, r"No CUDA driver was found.*libcuda\.so\.1")
    else:
        pytest.skip("this machine has a driver")


def test_a_library_that_is_none_or_lacks_functions(
    gpu: Gpu, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = tmp_path / "text.so"
    text.write_text("not a library")
    monkeypatch.setenv("FASTFEED_CUDA_LIBRARY", str(text))
    refused(gpu, DeviceUnavailable, "No CUDA driver was found")
    empty = tmp_path / "empty.so"
    subprocess.run(["cc", "-shared", "-o", empty, "-x", "c", "/dev/null"], check=True)
    monkeypatch.setenv("FASTFEED_CUDA_LIBRARY", str(empty))
    refused(gpu, DeviceUnavailable, r"lacks a function.*install a newer one.*cuInit")


def test_an_empty_variable_means_the_usual_library(
    gpu: Gpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTFEED_CUDA_LIBRARY", "")
    refused(gpu, DeviceUnavailable, r"No CUDA driver was found.*libcuda\.so\.1")


@pytest.mark.parametrize("version, text", [(11010, "11.1"), (10020, "10.2")])
def test_too_old_a_driver(gpu: Gpu, version: int, text: str) -> None:
    gpu.lib.sim_driver_version(version)
    refused(gpu, DeviceUnavailable, rf"supports CUDA {text}.*needs 11\.2.*newer NVIDIA driver")


def test_the_oldest_driver_is_new_enough(gpu: Gpu) -> None:
    gpu.lib.sim_driver_version(11020)
    with Loader(Batches(5), device="cuda", workers=1) as loader:
        assert indices(loader) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "call, code",
    [
        ("cuInit", 100),
        ("cuInit", 999),
        ("cuDriverGetVersion", 1),
        ("cuDeviceGetCount", 3),
        ("cuDeviceGet", 101),
        ("cuDeviceGetName", 1),
        ("cuDeviceGetPCIBusId", 1),
        ("cuDevicePrimaryCtxRetain", 2),
    ],
)
def test_a_driver_that_fails_at_the_start_is_named_with_its_call(
    gpu: Gpu, call: str, code: int
) -> None:
    gpu.fail(call, -1, code)
    message = refused(gpu, DeviceUnavailable, f"{call}.*\\({code}\\)")
    assert "leave out device" in message
    gpu.fail(call, 0, code)
    with Loader(Batches(3), device="cuda", workers=1) as loader:
        assert indices(loader) == [0, 1, 2]


# -- which device ---------------------------------------------------------------------------


def test_no_device_at_all(gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    gpu.close()  # nobody has it
    gpu.lib.sim_devices(0)
    message = refused(gpu, (DeviceUnavailable, ArgumentError), "GPU")
    assert "CUDA_VISIBLE_DEVICES is ''" in message


@pytest.mark.parametrize("ordinal", [2, 7, 99999])
def test_a_wrong_number(gpu: Gpu, ordinal: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    name = f"cuda:{ordinal}"
    message = refused(gpu, ArgumentError, f"no GPU number {ordinal}.*2 devices", device=name)
    assert message.endswith(f'Received: device="{name}"')
    assert "CUDA_VISIBLE_DEVICES is '0,1'" in message


@pytest.mark.parametrize(
    "device",
    [
        "cuda:x",
        "cuda:",
        "cuda:-1",
        "cuda:1.5",
        "cudaa",
        "CUDA",
        "",
        "cpu",
        "xpu:0",
        f"cuda:{2**40}",
        0,
    ],
    ids=repr,
)
def test_a_device_that_is_none(gpu: Gpu, device: Any) -> None:
    message = refused(gpu, ArgumentError, 'device must be None.*"cuda" or "cuda:1"', device=device)
    assert message.endswith(f"Received: device={device!r}")


@pytest.mark.parametrize("device, number", [("gpu:0", 0), ("gpu:1", 1), ("gpu", 0), ("cuda:1", 1)])
def test_devices_by_their_names(gpu: Gpu, device: str, number: int) -> None:
    with Loader(Batches(3), device=device, workers=1) as loader:
        assert indices(loader) == [0, 1, 2]
        assert loader.stats().device.name.startswith(f"cuda:{number} ")  # type: ignore[union-attr]


def test_devices_of_torch(gpu: Gpu) -> None:
    torch = pytest.importorskip("torch")
    for device, number in ((torch.device("cuda"), 0), (torch.device("cuda", 1), 1)):
        with Loader(Batches(3), device=device, workers=1) as loader:
            assert indices(loader) == [0, 1, 2]
            assert f"cuda:{number} " in str(loader.stats())
    refused(gpu, ArgumentError, "device must be None", device=torch.device("cpu"))


# -- frameworks -----------------------------------------------------------------------------


def test_without_cupy_that_is_said_with_the_package(
    gpu: Gpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)  # as if it were not installed
    monkeypatch.setitem(arrays.DEVICE_IMPORTERS, "cupy", arrays.cupy_importer)
    message = refused(gpu, ArgumentError, r"pip install 'fastfeed\[cuda13\]'")
    assert message.endswith("Received: framework='cupy'")


@pytest.mark.parametrize("built_for, can_do, ok", [(13000, 12040, False), (12000, 13000, True)])
def test_cupy_for_a_newer_cuda_than_the_drivers(
    gpu: Gpu, monkeypatch: pytest.MonkeyPatch, built_for: int, can_do: int, ok: bool
) -> None:
    runtime = types.SimpleNamespace(
        runtimeGetVersion=lambda: built_for, driverGetVersion=lambda: can_do
    )
    cuda = types.SimpleNamespace(runtime=runtime, is_available=lambda: False)
    use = arrays.DEVICE_IMPORTERS["cupy"]()
    cupy = types.SimpleNamespace(cuda=cuda, from_dlpack=use)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setitem(arrays.DEVICE_IMPORTERS, "cupy", arrays.cupy_importer)
    if ok:
        with Loader(Batches(3), device="cuda", workers=1) as loader:
            assert indices(loader) == [0, 1, 2]
    else:
        match = r"built for CUDA 13\.0.*can do 12\.4.*pip install cupy-cuda12x"
        refused(gpu, DeviceUnavailable, match)


@pytest.mark.parametrize("framework", ["torch", "jax", "tensorflow"])
def test_frameworks_that_see_no_gpu(gpu: Gpu, framework: str) -> None:
    pytest.importorskip(framework)
    match = f"but {framework} sees 0 of them.*Install its CUDA build, or leave out device"
    for options in ({}, {"device_synchronise": True}):
        refused(gpu, DeviceUnavailable, match, framework=framework, **options)


@pytest.mark.parametrize("framework", ["numpy", "mxnet", "Torch", 3, ""])
def test_frameworks_without_arrays_on_gpus(gpu: Gpu, framework: Any) -> None:
    message = refused(gpu, ArgumentError, "With device, framework must be", framework=framework)
    assert message.endswith(f"Received: framework={framework!r}")


def test_cupy_without_a_device() -> None:
    with pytest.raises(ArgumentError, match='CuPy has arrays on GPUs only: add device="cuda"'):
        Loader(Batches(3), framework="cupy")


# -- options --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, value",
    [("device_transform", len), ("device_synchronise", True), ("stable_addresses", True)],
)
def test_options_for_a_device_that_is_not_there(name: str, value: Any) -> None:
    with pytest.raises(ArgumentError, match=f'{name} is about batches on a GPU: add device="cuda"'):
        Loader(Batches(3), **{name: value})


@pytest.mark.parametrize("value", [0, -1, 65, 1.5, "2", None, True])
def test_queue_sizes_that_are_none(gpu: Gpu, value: Any) -> None:
    message = refused(
        gpu, ArgumentError, "device_queue_size must be an integer from 1", device_queue_size=value
    )
    assert message.endswith(f"Received: device_queue_size={value!r}")


@pytest.mark.parametrize("transform", ["crop", 3, [len]])
def test_a_transform_that_cannot_be_called(gpu: Gpu, transform: Any) -> None:
    refused(gpu, ArgumentError, "device_transform must be a", device_transform=transform)


def test_a_transform_without_cupy(gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    match = r"device_transform needs CuPy.*pip install 'fastfeed\[cuda13\]'"
    refused(gpu, ArgumentError, match, device_transform=lambda batch: batch)


# -- batches --------------------------------------------------------------------------------


class OnDevice:
    """As much of a framework's device array as says what it is."""

    def __init__(self, protocol: str) -> None:
        self.protocol = protocol
        self.shape = (3,)

    def __getattr__(self, name: str) -> Any:
        if name == self.protocol == "__cuda_array_interface__":
            return {"shape": (3,), "typestr": "<f4", "data": (4096, False), "version": 3}
        if name == self.protocol == "__dlpack_device__":
            return lambda: (2, 0)
        raise AttributeError(name)


@each_kind
@pytest.mark.parametrize("protocol", ["__cuda_array_interface__", "__dlpack_device__"])
def test_an_array_that_lies_on_a_gpu_already_is_refused_in_its_place(
    gpu: Gpu, kind: dict[str, Any], protocol: str
) -> None:
    class Returns:
        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: int) -> Any:
            return OnDevice(protocol) if index == 1 else np.full(3, index)

    with Loader(Returns(), device="cuda", **kind) as loader:
        first, error, last = outcomes(loader)
        assert (first, last) == (0, 2)
        assert isinstance(error, SourceError)
        assert "GPU" in str(error) and "host" in str(error)


@each_kind
def test_no_room_on_the_device_for_the_first_batch(gpu: Gpu, kind: dict[str, Any]) -> None:
    gpu.lib.sim_memory(100)
    with Loader(Batches(5), device="cuda", **kind) as loader:
        for _ in range(2):
            with pytest.raises(DeviceOutOfMemory, match=r"cuMemAlloc.*Lower device_queue_size"):
                next(iter(loader))
    gpu.lib.sim_memory(2**30)
    with Loader(Batches(5), device="cuda", **kind) as loader:
        assert indices(loader) == [0, 1, 2, 3, 4]


@each_kind
def test_no_room_on_the_device_for_a_later_batch(gpu: Gpu, kind: dict[str, Any]) -> None:
    gpu.lib.sim_memory(4 * 4096)
    kept = []
    said = r"CUDA_ERROR_OUT_OF_MEMORY.* \d+ bytes asked for, \d+ free"
    with Loader(Batches(30), device="cuda", **kind) as loader:
        with pytest.raises(DeviceOutOfMemory, match=said):
            for batch in loader:
                kept.append(batch)
        assert 1 <= len(kept) <= 4
        assert indices(kept) == list(range(len(kept)))


def test_device_errors_are_of_fastfeeds_family_and_can_be_sent_elsewhere(gpu: Gpu) -> None:
    import pickle

    gpu.lib.sim_memory(100)
    with (
        Loader(Batches(5), device="cuda", workers=1) as loader,
        pytest.raises(DeviceError) as caught,
    ):
        next(iter(loader))
    assert isinstance(caught.value, MemoryError)
    again = pickle.loads(pickle.dumps(caught.value))
    assert type(again) is DeviceOutOfMemory
    assert (again.call, again.code, str(again)) == ("cuMemAlloc", 2, str(caught.value))
    del caught
