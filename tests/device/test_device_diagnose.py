"""diagnose() with batches that are uploaded to a simulated GPU."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from device_support import Batches, each_kind, index_of, indices
from simulated_gpu import Gpu, SimulatedArray

from fastfeed import Loader

FEW = 20


@each_kind
def test_the_step_gets_batches_on_the_gpu(gpu: Gpu, kind: dict[str, Any]) -> None:
    seen = set()

    def step(batch: Any) -> None:
        seen.add(index_of(batch))

    with Loader(Batches(12), device="cuda", **kind) as loader:
        assert loader.diagnose(step, FEW).steps == FEW
        assert seen == set(range(12))
        assert indices(loader) == list(range(12))


@pytest.mark.parametrize("stable", [False, True])
def test_the_batch_that_is_used_again_takes_up_no_buffer(
    gpu: Gpu, monkeypatch: pytest.MonkeyPatch, stable: bool
) -> None:
    """With stable addresses there are two: kept, one of them would stop the uploads."""
    monkeypatch.setattr(SimulatedArray, "copy", lambda array: np.array(array), raising=False)
    with Loader(Batches(12), device="cuda", workers=1, stable_addresses=stable) as loader:
        assert loader.diagnose(lambda batch: time.sleep(0.002), FEW).steps == FEW
        assert indices(loader) == list(range(12))


@pytest.mark.parametrize("slow", [False, True])
def test_steps_that_wait_on_the_gpu_for_uploads_are_told(gpu: Gpu, slow: bool) -> None:
    """The loop is handed batches before they have arrived."""

    def step(batch: Any) -> None:
        gpu.synchronise()  # the stream that batches are handed to
        time.sleep(0.005)

    gpu.lib.sim_slowness(20_000 if slow else 0)  # us, in the mean
    with Loader(Batches(12), device="cuda", workers=2) as loader:
        found = loader.diagnose(step, FEW)
    assert (found.verdict.kind == "upload") == slow
    assert ("send uint8" in str(found)) == slow
