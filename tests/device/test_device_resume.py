"""A loader on a simulated GPU goes on where a state was taken: what waits there does not count."""

from __future__ import annotations

from typing import Any

from device_support import Batches, each_kind, indices
from simulated_gpu import Gpu

from fastfeed import Loader


@each_kind
def test_batches_that_wait_on_the_device_were_not_consumed(gpu: Gpu, kind: dict[str, Any]) -> None:
    options = {"device": "cuda", "device_queue_size": 3, "shuffle": True, **kind}
    with Loader(Batches(12), **options) as loader:
        whole = [indices(loader) for _ in range(2)]
        loop = iter(loader)
        for _ in range(5):
            next(loop)
        state = {**loader.state_dict(), "epoch": 0}
        for _ in range(2):  # back, with batches of later epochs on the device
            loader.load_state_dict(state)
            assert indices(loader) == whole[0][5:]
            assert indices(loader) == whole[1]
    with Loader(Batches(12), **options) as loader:
        loader.load_state_dict(state)
        assert [indices(loader), indices(loader)] == [whole[0][5:], whole[1]]
    assert state["consumed"] == 5
