"""A function as `device_transform` on a simulated GPU: its buffers, its errors, its addresses."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from cupy_stand_in import stand_in
from device_support import (
    Batches,
    Fixed,
    assert_same,
    each_kind,
    each_workers,
    host,
    index_of,
    indices,
    made_by_hand,
    of_many_sizes,
    raise_at,
)
from simulated_gpu import Gpu, SimulatedArray

from fastfeed import Loader
from fastfeed.devices import transforming
from fastfeed.errors import DeviceError, SourceError


@pytest.fixture(autouse=True)
def cupy(gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", stand_in(gpu))


def add_one(batch: Any) -> Any:
    """Add one to each byte of the noise."""
    numbers, noise = batch
    return numbers, noise.add(1)


def with_one_added(batches: list[Any]) -> list[Any]:
    return [(numbers, noise + np.uint8(1)) for numbers, noise in batches]


@each_kind
@pytest.mark.parametrize("queue", [1, 3])
def test_every_batch_is_transformed_once_and_in_order(
    gpu: Gpu, kind: dict[str, Any], queue: int
) -> None:
    expected = with_one_added(made_by_hand(Batches(12))[0])
    with Loader(
        Batches(12), device="cuda", device_transform=add_one, device_queue_size=queue, **kind
    ) as loader:
        for _ in range(2):
            assert_same(loader, expected)


@each_workers
def test_a_batch_is_not_overwritten_while_the_transform_reads_it(
    gpu: Gpu, kind: dict[str, Any]
) -> None:
    def read(batch: Any) -> Any:
        for array in batch:
            array.read_slowly()
        return ()

    with Loader(
        Batches(20), device="cuda", device_transform=read, device_queue_size=1, **kind
    ) as loader:
        assert list(loader) == [()] * 20


def test_results_are_not_overwritten_while_kernels_read_them(gpu: Gpu) -> None:
    expected = with_one_added(made_by_hand(Batches(20))[0])
    with Loader(Batches(20), device="cuda", device_transform=add_one, workers=2) as loader:
        sums = [noise.kernel(3000) for _, noise in loader]
        gpu.synchronise()
    assert [found.value for found in sums] == [gpu.checksum(y.tobytes()) for _, y in expected]


def test_results_that_are_kept_stay_right_after_the_loader_is_gone(gpu: Gpu) -> None:
    with Loader(Batches(20), device="cuda", device_transform=add_one, workers=2) as loader:
        kept = list(loader)
        assert indices(loader) == list(range(20))
    del loader
    assert_same(kept, with_one_added(made_by_hand(Batches(20))[0]))


def test_another_structure_and_objects_come_back(gpu: Gpu) -> None:
    def rearrange(batch: Any) -> Any:
        return {"noise": batch[1], "text": "as it is", "more": [batch[0], 1.5]}

    with Loader(Batches(5), device="cuda", device_transform=rearrange, workers=2) as loader:
        for index, batch in enumerate(loader):
            assert isinstance(batch["noise"], SimulatedArray)
            assert (batch["text"], batch["more"][1]) == ("as it is", 1.5)
            np.testing.assert_array_equal(host(batch["noise"]), Batches(5)[index][1])
            np.testing.assert_array_equal(host(batch["more"][0]), Batches(5)[index][0])


@each_kind
@pytest.mark.filterwarnings("ignore:A batch of")
def test_batches_that_grow_are_transformed_too(gpu: Gpu, kind: dict[str, Any]) -> None:
    source = Batches(10, rows=of_many_sizes)
    with Loader(source, device="cuda", device_transform=add_one, **kind) as loader:
        assert_same(loader, with_one_added(made_by_hand(source)[0]))


@each_kind
def test_what_a_transform_raises_comes_at_next_and_the_loop_can_go_on(
    gpu: Gpu, kind: dict[str, Any]
) -> None:
    seen: list[int] = []

    def fail_twice(batch: Any) -> Any:
        seen.append(len(seen))
        if seen[-1] in (2, 3):
            batch[1].add(1)
            raise ZeroDivisionError(seen[-1])
        return batch

    with Loader(
        Batches(8, raise_at(6)), device="cuda", device_transform=fail_twice, **kind
    ) as loader:
        batches = iter(loader)
        assert [index_of(next(batches)) for _ in range(2)] == [0, 1]
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                next(batches)
        assert [index_of(next(batches)) for _ in range(2)] == [4, 5]
        with pytest.raises(KeyError):
            next(batches)
        assert indices(batches) == [7]


@pytest.mark.parametrize("made", [np.zeros(3), (np.zeros(3),), {"x": np.array(1)}], ids=repr)
def test_a_transform_that_returns_arrays_of_the_host_is_refused(gpu: Gpu, made: Any) -> None:
    with Loader(
        Batches(5), device="cuda", device_transform=lambda batch: (batch[0], made), workers=1
    ) as loader:
        batches = iter(loader)
        for _ in range(2):
            with pytest.raises(
                SourceError, match=r"device_transform.*cupy\.asarray.*Received.*ndarray"
            ):
                next(batches)


def test_texts_are_refused_with_the_cure(gpu: Gpu) -> None:
    with (
        Loader(
            Fixed((np.arange(3), np.array(["a"]))),
            device="cuda",
            device_transform=lambda batch: batch,
            workers=1,
        ) as loader,
        pytest.raises(SourceError, match="leave them out of the batch"),
    ):
        next(iter(loader))


def test_results_have_stable_addresses(gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transforming, "PATIENCE_S", 0.3)
    with Loader(
        Batches(9), device="cuda", device_transform=add_one, stable_addresses=True, workers=2
    ) as loader:
        for _ in range(2):
            addresses = [batch[1].data for batch in map(tuple, loader)]
            assert len(set(addresses)) == 2
            assert addresses[:2] * 4 + addresses[:1] == addresses
        batches = iter(loader)
        kept = [next(batches), next(batches)]
        with pytest.raises(DeviceError, match="2 transformed batches may be in use"):
            next(batches)
        assert len(kept) == 2
