"""TensorFlow's safe way: it gets tensors over page-locked slots and copies them itself.

There is no TensorFlow with CUDA here, so it copies to the CPU: only the name of its device differs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from device_support import Batches, Fixed, assert_same, each_kind, indices, made_by_hand
from simulated_gpu import EVERY_CALL, Gpu

from fastfeed import Loader
from fastfeed.devices import target
from fastfeed.devices.arrays import hand_over_for_tensorflow
from fastfeed.errors import ArgumentError

tf = pytest.importorskip("tensorflow")


@pytest.fixture(autouse=True)
def copies_to_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "check_sees_gpu", lambda framework, ordinal: None)
    monkeypatch.setattr(
        target, "hand_over_for_tensorflow", lambda device: hand_over_for_tensorflow("/CPU:0")
    )


@each_kind
def test_batches_are_tensors_from_page_locked_slots_and_nothing_is_uploaded_by_us(
    gpu: Gpu, kind: dict[str, Any]
) -> None:
    expected = made_by_hand(Batches(12))[0]
    with Loader(Batches(12), device="cuda", framework="tensorflow", **kind) as loader:
        for _ in range(2):
            for place, batch in enumerate(loader):
                assert all(isinstance(part, tf.Tensor) for part in batch)
                assert_same([batch], [expected[place]])
                del batch
        stats = loader.stats().device
        assert stats is not None and stats.pinned
        assert stats.registered_bytes == gpu.live("registered_bytes") > 0
        assert (stats.uploads, stats.host_copies, stats.buffers) == (0, 0, 0)
        assert gpu.live("streams") == 1  # the framework's own
        assert "0 uploads" in str(loader.stats())
    assert gpu.live("registrations") == 0


@pytest.mark.filterwarnings("ignore:All but 2 of")
def test_tensors_stay_right_after_the_loader_is_closed(gpu: Gpu) -> None:
    with Loader(Batches(12), device="cuda", framework="tensorflow", workers=2) as loader:
        kept = list(loader)
    assert indices(kept) == list(range(12))


def test_texts_come_as_arrays_of_the_host(gpu: Gpu) -> None:
    item = (np.arange(3), np.array(["a", "b"]))
    with Loader(Fixed(item), device="cuda", framework="tensorflow", workers=1) as loader:
        ((numbers, texts),) = loader
        assert isinstance(numbers, tf.Tensor)
        assert texts.tolist() == ["a", "b"]
        del numbers, texts


def test_refused_page_locking_costs_speed_and_nothing_else(gpu: Gpu) -> None:
    gpu.fail("cuMemHostRegister_v2", EVERY_CALL, 2)
    with (
        pytest.warns(UserWarning, match="refused to page-lock"),
        Loader(Batches(12), device="cuda", framework="tensorflow", workers=2) as loader,
    ):
        assert indices(loader) == list(range(12))
        stats = loader.stats().device
        assert stats is not None and stats.pinned is False


@pytest.mark.parametrize(("name", "value"), [("device_transform", len), ("stable_addresses", True)])
def test_what_needs_batches_on_the_device_is_refused_with_the_cure(
    gpu: Gpu, name: str, value: Any
) -> None:
    with pytest.raises(ArgumentError, match=f"{name} needs device_synchronise=True"):
        Loader(Batches(3), device="cuda", framework="tensorflow", **{name: value})
