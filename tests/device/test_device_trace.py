"""The upload lane of a trace, written by the real upload thread."""

from __future__ import annotations

from typing import Any

from device_support import Batches, each_kind, indices
from leftovers import eventually
from trace_rules import read

from fastfeed import Loader


def arrived(loader: Loader) -> bool:
    """Tell whether all copies are known to be done. Batches without a slot are copied otherwise."""
    records = loader._view().records()
    return bool(((records["upload_ns"] == 0) | (records["uploaded_ns"] > 0)).all())


@each_kind
def test_each_batch_goes_from_its_worker_over_the_upload_to_the_loop(
    gpu: Any, kind: dict[str, Any], tmp_path: Any
) -> None:
    path = tmp_path / "t.json"
    with Loader(Batches(20), device="cuda", **kind) as loader:
        for _ in range(2):
            assert indices(loader) == list(range(20))
        assert eventually(lambda: arrived(loader))
        assert loader.trace(path) == 40
    trace = read(path)
    uploads = [one.name for one in trace.lanes["0: upload"]]
    expected = [f"upload #{index}" for index in range(20)] * 2
    assert uploads == expected[40 - len(uploads) :], "the first ones came before there were slots"
    assert len(uploads) >= 30
    uploaded = [way for way in trace.arrows if way[1].name.startswith("upload")]
    assert len(uploaded) >= 20, "others were handed out before it was seen that their turn had come"
    for way in uploaded:
        assert way[0].name.startswith("make") and way[0].end <= way[1].start
        assert [one.args["ticket"] for one in way] == [way[0].args["ticket"]] * len(way)
