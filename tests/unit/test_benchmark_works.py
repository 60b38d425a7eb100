"""The works of ``fastfeed bench``: the same bytes for every loader, from any source of a user's."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from unit_bench import expected_of

from fastfeed import Loader
from fastfeed.benchmark import accelerators, jpeg, loaders, works
from fastfeed.benchmark.checks import checksum, leaves
from fastfeed.benchmark.emulate import require_room
from fastfeed.benchmark.own import as_batches, begun, of_length, repeated
from fastfeed.benchmark.settings import Settings
from fastfeed.errors import ArgumentError, FastFeedError


@pytest.mark.parametrize("name", works.WORKS)
def test_an_item_is_a_new_array_with_the_bytes_that_fill_writes(name: str) -> None:
    source = works.WORKS[name].make(2, 3)
    assert len(source) == 3
    out = np.empty(source.spec.shape, source.spec.dtype)
    for index in range(3):
        item = source[index]
        source.fill(index, out, np.random.default_rng(index))
        assert (item.shape, item.dtype) == (out.shape, out.dtype)
        assert item.tobytes() == out.tobytes() == source[index].tobytes()
        assert not np.shares_memory(item, source[index])
    assert len({checksum([source[index]]) for index in range(3)}) == 3
    with pytest.raises(IndexError):
        source[3]


@pytest.mark.parametrize("name", jpeg.NEEDS)
def test_pictures_with_each_decoder(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip(name)
    monkeypatch.setattr(jpeg, "NEEDS", (name,))
    source = jpeg.Photos(4, 2)
    assert source._decoder == name
    assert all(int(image.max()) - int(image.min()) > 20 for image in source[0])
    assert source[1].tobytes() == jpeg.Photos(4, 2)[1].tobytes()


def test_without_a_decoder_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jpeg, "NEEDS", ("no_such_decoder",))
    with pytest.raises(FastFeedError, match="pip install"):
        jpeg.Photos(4, 2)


class Samples:
    """Seven samples: a picture and a label."""

    def __len__(self) -> int:
        return 7

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"x": np.full((2, 2), index, np.float32), "y": (index, np.int8(-index))}


def test_samples_are_batched_as_the_loader_batches_them() -> None:
    with Loader(Samples(), batch_size=3, workers=0) as loader:
        given = expected_of(loader)
    source = as_batches(Samples(), 3, "mine:Samples")
    assert expected_of(source[index] for index in range(len(source))) == given


def test_rows_of_arrays_are_batched_as_the_loader_batches_them() -> None:
    arrays = {"x": np.arange(20).reshape(10, 2), "y": np.arange(10.0)}
    with Loader(arrays, batch_size=4, workers=0) as loader:
        given = expected_of(loader)
    source = as_batches(arrays, 4, "mine:arrays")
    assert expected_of(source[index] for index in range(len(source))) == given


def test_a_source_goes_round_and_keeps_its_fill() -> None:
    source = of_length(works.Prepared((2, 3), "uint8", 3), 8)
    assert len(source) == 8
    assert source[7].tobytes() == source[1].tobytes() != source[2].tobytes()
    out = np.empty((2, 3), np.uint8)
    source.fill(7, out, np.random.default_rng(0))
    assert out.tobytes() == source[1].tobytes()
    assert not hasattr(of_length(Samples(), 8), "fill")


def numbers(shard: int = 0, num_shards: int = 1) -> Iterator[np.ndarray]:
    """Five numbers, or those of a shard."""
    yield from (np.array([number]) for number in range(shard, 5, num_shards))


def test_a_stream_is_begun_again_where_it_ends() -> None:
    class Passes:
        def __iter__(self) -> Iterator[Any]:
            return begun(numbers)

    taken = [int(leaves(batch)[0][0]) for batch in repeated(Passes(), 12)]
    assert taken == list(itertools.islice(itertools.cycle(range(5)), 12))
    with pytest.raises(ArgumentError, match="without a batch"):
        list(repeated([], 2))


@pytest.mark.parametrize(
    ("source", "batch_size", "said"),
    [
        (np.ones((4, 2)), None, "--batch-size"),
        ([], None, "empty"),
        (iter([1]), None, "generator function itself"),
        (numbers, 4, "Leave out --batch-size"),
        ("text", None, "is no source"),
        (Samples, None, "is no source"),
        (5, None, "is no source"),
    ],
    ids=["arrays", "empty", "iterator", "stream", "text", "class", "number"],
)
def test_what_cannot_be_measured(source: Any, batch_size: int | None, said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        as_batches(source, batch_size, "mine:source")


def test_a_librarys_name_stands_for_its_variants() -> None:
    assert [kind.name for kind in loaders.chosen(["keras"])] == ["keras-threads", "keras-processes"]
    assert [kind.name for kind in loaders.chosen(["torch", "torch"])] == ["torch"]
    assert [kind.name for kind in loaders.chosen(["fastfeed-fill"])] == ["fastfeed-fill"]
    with pytest.raises(ArgumentError, match=r"no loader 'dali'. There are: .*torch"):
        loaders.chosen(["torch", "dali"])


def test_what_is_not_installed_is_named_with_its_cure() -> None:
    kind = loaders.LoaderKind("one", "one", needs="no_such_library", pip="no-such-library")
    assert kind.missing == "not installed (pip install no-such-library)"
    assert loaders.LoaderKind("two", "two", needs="numpy", pip="numpy").missing == ""


def test_the_accelerators_are_those_of_mlperf_storage() -> None:
    one = accelerators.ACCELERATORS["resnet50-h100"]
    per_second = one.batch_size / one.step_seconds
    assert per_second == pytest.approx(1786, rel=1e-3)  # research: one H100 eats as many samples
    assert accelerators.utilization(0.224, 0.224 / 0.9) == pytest.approx(0.9)
    assert one.records(0.5, 3)[1].shape == (400, 75264)


def test_accelerators_that_do_not_fit_into_memory_are_refused_at_once() -> None:
    settings = Settings(workers=2, queue=1024, repeats=1, seconds=1.0)
    one = accelerators.ACCELERATORS["unet3d-h100"]
    with pytest.raises(ArgumentError, match=r"--scale .*queue=1024"):
        require_room(one, "unet3d-h100", settings)
