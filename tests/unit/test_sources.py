"""Every kind of source, in the calling thread, in threads and in processes."""

from __future__ import annotations

import os
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from unit_kinds import (
    KINDS,
    Endless,
    Fill,
    FillWithoutSpec,
    N,
    Samples,
    generator,
    image,
    long_shards,
    round_robin,
    shards,
)
from unit_sources import Batches, fed, same
from unit_trees import DTYPES, filled

import fastfeed
from fastfeed.errors import ArgumentError, SourceError, SourceExhausted, WorkerCrashed
from fastfeed.sources.base import name_of

WAYS: list[dict[str, Any]] = [
    {"workers": 0},
    {"workers": 1},
    {"workers": 3},
    {"workers": 3, "use_multiprocessing": False},
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", KINDS)
def test_every_kind_gives_the_same_batches_everywhere(name: str, way: dict[str, Any]) -> None:
    kind = KINDS[name]
    received, expected = fed(kind.source(), **kind.options, **way), kind.expected()
    assert len(received) == len(expected) > 0
    assert all(map(same, received, expected)), (received, expected)


@pytest.mark.parametrize("name", KINDS)
def test_the_length_is_that_of_an_epoch(name: str) -> None:
    kind = KINDS[name]
    with fastfeed.Loader(kind.source(), workers=0, **kind.options) as loader:
        if kind.length is None:
            with pytest.raises(TypeError, match="length of this source is not known"):
                len(loader)
        else:
            assert len(loader) == kind.length == sum(1 for _ in loader)
        assert loader.batches_per_epoch == kind.length


@pytest.mark.parametrize("way", WAYS[:1] + WAYS[-1:])
def test_a_dataset_of_pytorch_is_collated(way: dict[str, Any]) -> None:
    xs, ys = torch.arange(24.0).reshape(6, 4), torch.arange(6)
    batches = fed(torch.utils.data.TensorDataset(xs, ys), batch_size=4, **way)
    assert same(batches, [(xs[:4].numpy(), ys[:4].numpy()), (xs[4:].numpy(), ys[4:].numpy())])


# -- arrays ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_rows_of_every_dtype_are_gathered_as_take_does(dtype: np.dtype) -> None:
    array = filled(dtype, (40, 3))
    (batch,) = fed(array, batch_size=40, shuffle=True, workers=1)
    (order,) = fed(np.arange(40), batch_size=40, shuffle=True, workers=1)
    assert same(batch, np.take(array, order, axis=0))


def test_long_rows_of_a_file_are_gathered(tmp_path: Path) -> None:
    shape = (50, 40_000)  # long enough for streaming stores
    file = np.memmap(tmp_path / "data", np.uint16, "w+", shape=shape)
    file[:] = np.arange(2_000_000).reshape(shape)
    order = np.concatenate(fed(np.arange(50), batch_size=20, shuffle=True, seed=3))
    batches = fed(file, batch_size=20, shuffle=True, seed=3, workers=2)
    assert same(np.concatenate(batches), np.array(file[order]))


def test_arrays_that_do_not_lie_in_c_order_are_gathered() -> None:
    base = np.arange(240).reshape(10, 4, 6)
    arrays = (base[::-1], base.transpose(0, 2, 1), np.asfortranarray(base), base[:, ::2, 1])
    batches = fed(arrays, batch_size=4)
    assert same(batches[1], tuple(np.ascontiguousarray(array[4:8]) for array in arrays))


def test_arrays_stay_as_they_are() -> None:
    array = np.arange(8)
    with fastfeed.Loader(array, batch_size=4) as loader:
        for batch in loader:
            batch[:] = -1
    assert array.tolist() == list(range(8))


def test_arrays_of_objects_are_refused() -> None:
    with pytest.raises(SourceError, match="array of Python objects has no rows of bytes"):
        fastfeed.Loader(np.array([None, "a"]), batch_size=1)


# -- samples --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [
        {"x": 1, "z": 2},
        {"x": 1},
        {"x": 1, "y": 2, "z": 3},
        {"x": 1, "y": [2]},
        {"x": 1, "y": 2.0},
        {"x": "1", "y": 2},
        {"x": np.ones(1), "y": 2},
        [1, 2],
    ],
    ids=str,
)
def test_samples_that_differ_are_refused(other: Any) -> None:
    samples = [{"x": 0, "y": 0}, {"y": 1, "x": 1}, other]
    with pytest.raises(SourceError, match=r"Samples of one batch .* differ: sample 2 is"):
        fed(samples, batch_size=3, workers=0)


def test_objects_of_samples_grow_with_the_batch() -> None:
    texts = ["x" * (4000 * index) for index in range(6)]  # longer than the slots of the first ones
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        batches = fed([(index, text) for index, text in enumerate(texts)], batch_size=2, workers=2)
    assert [batch[1] for batch in batches] == [texts[:2], texts[2:4], texts[4:]]
    assert [batch[0].tolist() for batch in batches] == [[0, 1], [2, 3], [4, 5]]


def test_a_stream_may_not_give_none_in_the_place_of_a_sample() -> None:
    def numbers() -> Iterator[Any]:
        yield from (0, 1, None, 3)

    for drop_last in (False, True):
        with fastfeed.Loader(numbers, batch_size=2, workers=0, drop_last=drop_last) as loader:
            batches = iter(loader)
            assert next(batches).tolist() == [0, 1]
            with pytest.raises(SourceError, match="None for index 1"):
                next(batches)


# -- fill -----------------------------------------------------------------------------------


class Filling(Fill):
    """Says that it filled so many rows."""

    def __init__(self, says: Any) -> None:
        self.says = says

    def fill(self, index: int, out: Any, rng: np.random.Generator) -> Any:
        out[0][:], out[1]["y"][:] = index, index
        return self.says


@pytest.mark.parametrize("says", [4, -1, True, 2.0, "3", (image(0), 3)], ids=str)
def test_fill_may_not_return_anything_but_a_number_of_rows(says: Any) -> None:
    with pytest.raises(SourceError, match=r"Filling.fill must return None, or how many .* 0 to 3"):
        fed(Filling(says), workers=0)


@pytest.mark.parametrize("says", [None, 3, np.int64(3), 0, 2])
def test_fill_says_how_many_rows_there_are(says: Any) -> None:
    batch = fed(Filling(says), workers=0)[1]
    rows = 3 if says is None else says
    assert same(batch, (np.full((rows, 3, 4), 1, np.uint8), {"y": np.ones(rows, np.float32)}))


def test_fill_writes_where_the_batch_lies() -> None:
    seen = []

    class Remembering(Fill):
        def fill(self, index: int, out: Any, rng: np.random.Generator) -> None:
            seen.append(out[0].ctypes.data)

    with fastfeed.Loader(Remembering(), workers=0) as loader:
        assert [batch[0].ctypes.data for batch in loader] == seen


def test_a_spec_of_anything_but_arrays_is_refused() -> None:
    class Wrong(Fill):
        spec = ((3, 4), np.uint8)

    with pytest.raises(SourceError, match=r"Wrong.spec has a leaf that is neither .* Received: 3"):
        fastfeed.Loader(Wrong())


def test_fill_without_anything_that_tells_the_shapes_is_refused() -> None:
    class Blind:
        __len__ = Fill.__len__
        fill = Fill.fill

    with pytest.raises(SourceError, match="Blind has `fill` but neither `spec` nor `__getitem__`"):
        fastfeed.Loader(Blind())


def test_fill_cannot_write_objects() -> None:
    class Named(FillWithoutSpec):
        def __getitem__(self, index: int) -> Any:
            return image(index), ["cat"]

    with pytest.raises(SourceError, match=r"Named.fill can write arrays only.*, \[str\]"):
        fed(Named(), workers=0)


@pytest.mark.parametrize("shape", [32, (-1, 2), (2.0,), None, "ab"])
def test_a_spec_needs_a_shape(shape: Any) -> None:
    with pytest.raises(ArgumentError, match=r"needs a shape: a tuple of sizes. Received: "):
        fastfeed.ArraySpec(shape, np.float32)


@pytest.mark.parametrize("dtype", [object, str, "U", [("a", object)]])
def test_a_spec_needs_a_dtype_of_a_fixed_size(dtype: Any) -> None:
    with pytest.raises(ArgumentError, match="needs a dtype of a fixed size: no objects"):
        fastfeed.ArraySpec((3,), dtype)


# -- batches of other sizes -----------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_batches_larger_than_the_first_arrive_and_are_told_of(way: dict[str, Any]) -> None:
    sizes = [10, 10, 10, 200_000, 10, 50_000, 500_000, 0, 500_001]
    source = Batches(lambda i: (np.full(sizes[i], i), {"text": "x" * i}), len(sizes))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        received = fed(source, **way)
    assert [len(x) for x, _ in received] == sizes
    assert all((x == i).all() and y == {"text": "x" * i} for i, (x, y) in enumerate(received))
    told = [str(warning.message) for warning in caught]
    assert len(told) == 2
    assert "A batch of 1.5 MiB is larger than its slot of 4096 bytes" in told[0]
    assert "A batch of 3.8 MiB is larger than its slot of 1.9 MiB" in told[1]


def test_the_warning_of_a_larger_batch_is_shown_by_default(recwarn: Any) -> None:
    source = Batches(lambda i: np.zeros(10 ** (i + 3)), 2)
    warnings.resetwarnings()  # as in a user's script
    fed(source, workers=0)
    assert [w.category for w in recwarn] == [UserWarning]


def wait_until(condition: Callable[[], bool]) -> None:
    """Look again and again; the watchdog ends what never comes."""
    while not condition():
        time.sleep(0.005)


# -- streams --------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_a_generator_function_begins_anew_in_each_epoch(way: dict[str, Any]) -> None:
    with fastfeed.Loader(generator, **way) as loader:
        for _ in range(3):
            assert [int(batch[0, 1]) for batch in loader] == list(range(1, N + 1))


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("processes", [True, False])
def test_shards_take_turns_until_each_has_ended(processes: bool, ordered: bool) -> None:
    options = {"workers": 4, "use_multiprocessing": processes, "ordered": ordered}
    with fastfeed.Loader(shards, **options) as loader:
        for _ in range(3):
            received = [batch.tolist() for batch in loader]
            expected = [batch.tolist() for batch in round_robin(4)]
            assert received == expected if ordered else sorted(received) == sorted(expected)


def test_shards_take_turns_in_a_short_queue() -> None:
    expected = [batch.tolist() for batch in round_robin(5)]
    received = fed(shards, workers=5, max_queue_size=1, use_multiprocessing=False)
    assert [batch.tolist() for batch in received] == expected


@pytest.mark.parametrize("ordered", [True, False])
def test_a_stream_whose_worker_was_killed_between_items_does_not_end_silently(
    ordered: bool,
) -> None:
    options = {"workers": 2, "max_queue_size": 4, "ordered": ordered}
    with fastfeed.Loader(long_shards, **options) as loader:
        batches = iter(loader)
        received = [int(next(batches)[0]) for _ in range(4)]
        wait_until(lambda: loader.stats().ready == 4)  # nobody has anything in hand
        os.kill(loader._engine._pool._processes[1].pid, signal.SIGKILL)
        with pytest.raises(WorkerCrashed, match=r"shard 1 of 2\) was ended .* cannot be continued"):
            for batch in batches:
                received.append(int(batch[0]))
        received += [int(batch[0]) for batch in batches]
        assert received.count(0) == 20
        assert 2 <= received.count(1) < 20
        assert sorted(int(batch[0]) for batch in loader) == [0] * 20 + [1] * 20


@pytest.mark.parametrize("way", WAYS)
def test_a_function_that_cannot_start_its_stream_says_so_once_an_epoch(way: dict[str, Any]) -> None:
    def unable() -> Iterator[Any]:
        raise KeyError("no data here")

    with fastfeed.Loader(unable, **way) as loader:
        for _ in range(2):
            batches = iter(loader)
            with pytest.raises(KeyError, match="no data here"):
                next(batches)
            assert list(batches) == []


def test_without_workers_there_is_one_shard() -> None:
    assert [batch.tolist() for batch in fed(shards, workers=0)] == [[0, 0, 1]]


def test_a_stream_without_items_is_an_empty_epoch() -> None:
    for way in WAYS:
        assert fed(lambda: iter(()), **way) == []


@pytest.mark.parametrize("workers", [0, 1])
def test_an_iterator_goes_on_after_a_break_and_ends_once(workers: int) -> None:
    with fastfeed.Loader(iter(range(10)), batch_size=2, workers=workers) as loader:
        seen = []
        for batch in loader:
            seen.append(batch.tolist())
            if len(seen) == 2:
                break
        seen += [batch.tolist() for batch in loader]
        assert seen == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
        with pytest.raises(SourceExhausted, match="used up"):
            iter(loader)


# -- what is recognised ---------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_an_endless_source_goes_on_and_on(way: dict[str, Any]) -> None:
    with fastfeed.Loader(Endless(), **way) as loader:
        batches = iter(loader)
        assert [int(next(batches)[0]) for _ in range(50)] == list(range(50))


def test_an_endless_source_of_samples_is_refused() -> None:
    with pytest.raises(SourceError, match="Endless is endless; samples need a length"):
        fastfeed.Loader(Endless(), batch_size=4)


def test_an_iterator_in_processes_is_refused_with_the_cure() -> None:
    with pytest.raises(ArgumentError, match="Pass the generator function itself"):
        fastfeed.Loader(generator(), use_multiprocessing=True)


def test_samples_in_another_order_are_the_same_samples() -> None:
    batches = fed(Samples(), batch_size=N, shuffle=True, workers=0)
    order = batches[0][0]["label"].tolist()
    assert sorted(order) == list(range(N)) != order
    assert batches[0][0]["name"] == ["n" * row for row in order]
    assert same(batches[0][0]["image"], np.stack([image(row) for row in order]))


def test_names_are_what_people_call_things() -> None:
    class Set:
        def load(self) -> None: ...

    def inner() -> None: ...

    values = [inner, len, Set, Set(), Set.load, Set().load, partial(inner), lambda: 0]
    names = ["inner", "len", "Set", "Set", "Set.load", "Set.load", "partial", "<lambda>"]
    assert [name_of(value) for value in values] == names
    assert name_of(fastfeed.files.webdataset([__file__], ["py"])) == "webdataset"


def test_stats_know_what_only_one_worker_can_make() -> None:
    def parts(shard: int, num_shards: int) -> Iterator[int]:
        yield from range(shard, 9, num_shards)

    for source, undivided in ((lambda: iter([1]), True), (iter([1]), True), (parts, False)):
        with fastfeed.Loader(source, workers=0) as loader:
            assert loader.stats().undivided is undivided
