"""Loaders on a real GPU, for each framework: what arrives, and where it lies."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from gpu_support import Constant, Images, Noise, NoiseInPlace, each_framework, framework
from leftovers import eventually

import fastfeed
from fastfeed import Loader, _core
from fastfeed.devices import arrays
from fastfeed.devices import transforms as T  # noqa: N812

pytestmark = pytest.mark.gpu

TWO = {"workers": 2, "use_multiprocessing": True}


@pytest.fixture(autouse=True)
def nothing_left_on_the_gpu() -> Iterator[None]:
    """Assert that every buffer and device is let go; frameworks may be late with it."""
    yield
    gc.collect()
    assert eventually(lambda: _core.devices_alive() == 0)


# -- what arrives ----------------------------------------------------------------------------------


@each_framework
@pytest.mark.parametrize("synchronise", [False, True])
def test_batches_are_those_of_the_source_for_three_epochs(name: str, synchronise: bool) -> None:
    host = framework(name)
    with Loader(
        Images(12), device="cuda", framework=name, device_synchronise=synchronise, **TWO
    ) as loader:
        for _ in range(3):
            count = 0
            for index, (images, labels) in enumerate(loader):
                expected = Images(12)[index]
                np.testing.assert_array_equal(host.numpy(images), expected[0])
                np.testing.assert_array_equal(host.numpy(labels), expected[1])
                count += 1
            assert count == 12


@each_framework
def test_all_batches_of_an_epoch_can_be_kept(name: str) -> None:
    host = framework(name)
    with Loader(Images(20), device="cuda", framework=name, **TWO) as loader:
        kept = list(loader)
        for index, (images, _) in enumerate(kept):
            np.testing.assert_array_equal(host.numpy(images), Images(20)[index][0])
    images, _ = kept[7]
    del kept
    np.testing.assert_array_equal(host.numpy(images), Images(20)[7][0])  # after the end too


@pytest.mark.parametrize("source", [Noise, NoiseInPlace])
@pytest.mark.parametrize("size", [1000, 2**20, 24 * 2**20 + 8])
def test_what_workers_write_is_what_the_gpu_reads(source: Any, size: int) -> None:
    """Plain stores and streaming ones, through memory that only the parent has page-locked."""
    host = framework("cupy")
    with Loader(source(6, size), device="cuda", max_queue_size=4, **TWO) as loader:
        for index, batch in enumerate(loader):
            np.testing.assert_array_equal(host.numpy(batch), source(6, size)[index])
        stats = loader.stats().device
        assert stats is not None
        if source is NoiseInPlace and stats.pinned:
            assert stats.host_copies == 0


def test_threads_and_the_calling_thread_make_batches_too() -> None:
    host = framework("cupy")
    for options in ({"workers": 0}, {"workers": 2, "use_multiprocessing": False}):
        with Loader(Images(5), device="cuda", **options) as loader:  # type: ignore[arg-type]
            for index, (images, _) in enumerate(loader):
                np.testing.assert_array_equal(host.numpy(images), Images(5)[index][0])


def test_arrays_lie_where_the_loader_says() -> None:
    torch = framework("torch").torch
    with Loader(Images(3), device="cuda", framework="torch", **TWO) as loader:
        for images, labels in loader:
            assert str(images.device) == loader.device
            assert (images.dtype, labels.dtype) == (torch.uint8, torch.int64)
            assert images.data_ptr() % 64 == 0


def test_jax_compiles_a_step_once() -> None:
    """As it would not if batches were committed to their device."""
    jax = framework("jax").jax
    step = jax.jit(lambda total, batch: total + batch.sum(dtype="int32"))
    total = jax.numpy.zeros((), "int32")
    with Loader(Constant(10), device="cuda", framework="jax", **TWO) as loader:
        for batch in loader:
            total = step(total, batch)
            del batch
        assert int(total) == sum(range(10)) * 2**22
    assert step._cache_size() == 1


# -- ways to look at them --------------------------------------------------------------------------


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches are made of what fastfeed gives to a framework, as it is."""
    framework("cupy")
    monkeypatch.setitem(arrays.DEVICE_IMPORTERS, "cupy", lambda: lambda tensor: tensor)


def test_cupy_reads_the_cuda_array_interface(exported: None) -> None:
    import cupy

    with Loader(Images(3), device="cuda", **TWO) as loader:
        for index, (images, _) in enumerate(loader):
            np.testing.assert_array_equal(cupy.asnumpy(cupy.asarray(images)), Images(3)[index][0])


def test_numba_reads_the_cuda_array_interface(exported: None) -> None:
    cuda = pytest.importorskip("numba.cuda")
    if not cuda.is_available():
        pytest.skip("numba sees no GPU")
    with Loader(Images(3), device="cuda", **TWO) as loader:
        for index, (images, _) in enumerate(loader):
            found = cuda.as_cuda_array(images).copy_to_host()
            np.testing.assert_array_equal(found, Images(3)[index][0])


# -- fixed addresses -------------------------------------------------------------------------------


def test_cuda_graphs_replay_on_stable_addresses() -> None:
    torch = framework("torch").torch
    graphs: dict[int, Any] = {}
    found = []
    total = torch.zeros((), dtype=torch.int64, device="cuda")
    total.copy_(torch.zeros(8, dtype=torch.uint8, device="cuda").sum(dtype=torch.int64))  # loads it
    with Loader(
        Constant(20), device="cuda", framework="torch", stable_addresses=True, **TWO
    ) as loader:
        for _ in range(2):
            for batch in loader:
                address = batch.data_ptr()
                if address not in graphs:
                    graphs[address] = torch.cuda.CUDAGraph()
                    with torch.cuda.graph(graphs[address]):
                        total.copy_(batch.sum(dtype=torch.int64))
                graphs[address].replay()
                found.append(total.clone())
                del batch
        torch.cuda.synchronize()
    assert len(graphs) == 2
    assert [int(each) for each in found] == [i * 2**22 for i in range(20)] * 2


# -- transforms ------------------------------------------------------------------------------------

AUGMENT = T.Augment(
    [T.RandomCrop(32, 32, padding=2), T.RandomFlip(), T.Normalise([120.0], [60.0])],
    [T.OneHot(10)],
    T.Mixup(0.2),
)


@each_framework
def test_transforms_are_those_of_the_host(name: str) -> None:
    host = framework(name)
    with Loader(
        Images(6), device="cuda", framework=name, device_transform=AUGMENT, seed=5, **TWO
    ) as loader:
        for epoch in range(2):
            for index, batch in enumerate(loader):
                expected = AUGMENT.on_host(Images(6)[index], seed=5, epoch=epoch, index=index)
                for one, other in zip(batch, expected, strict=True):
                    assert host.numpy(one).tobytes() == other.tobytes()


def in_floats(batch: Any) -> Any:
    images, labels = batch
    return {"x": images[:, ::2].astype("float32") / 255, "y": labels, "name": "images"}


@each_framework
def test_a_function_of_cupy_arrays_is_a_transform_too(name: str) -> None:
    host = framework(name)
    with Loader(
        Images(6), device="cuda", framework=name, device_transform=in_floats, **TWO
    ) as loader:
        for index, batch in enumerate(loader):
            expected = in_floats(Images(6)[index])
            np.testing.assert_allclose(host.numpy(batch["x"]), expected["x"], rtol=1e-6)
            np.testing.assert_array_equal(host.numpy(batch["y"]), expected["y"])
            assert batch["name"] == "images"


def test_the_epochs_of_a_loader_on_the_gpu_are_those_without() -> None:
    host = framework("cupy")
    with fastfeed.Loader(Images(10), workers=1, shuffle=True, seed=2) as plain:
        expected = [[images.copy() for images, _ in plain] for _ in range(2)]
    with Loader(Images(10), shuffle=True, seed=2, device="cuda", **TWO) as loader:
        for epoch in expected:
            for (images, _), other in zip(loader, epoch, strict=True):
                np.testing.assert_array_equal(host.numpy(images), other)
