"""What a batch may be made of, on a simulated GPU; batches that lie in no slot."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import numpy as np
import pytest
from device_support import (
    KINDS,
    Batches,
    Fixed,
    assert_same,
    each_kind,
    host,
    indices,
    made_by_hand,
    of_many_sizes,
)
from simulated_gpu import Gpu, SimulatedArray

from fastfeed import Loader
from fastfeed.errors import SourceError, StructureChanged

Point = namedtuple("Point", "x y")


def only(item: Any, gpu: Gpu, **kind: Any) -> Any:
    """Return the batch that a device loader makes of an item, the second time it makes it."""
    with Loader(Fixed(item, item), device="cuda", **kind) as loader:
        spilled, in_slot = list(loader)
        assert repr(host(spilled)) == repr(host(in_slot))
        return in_slot


@each_kind
def test_trees_keep_their_structure_and_only_arrays_go_to_the_device(
    gpu: Gpu, kind: dict[str, Any]
) -> None:
    item = {
        "image": np.arange(24, dtype="float32").reshape(2, 3, 4),
        "more": [np.arange(3), (np.ones(2, "float16"), None)],
        "point": Point(np.zeros(1, "int8"), np.array(7, "uint64")),
        "name": "a text",
        "other": {1, 2},
    }
    given = only(item, gpu, **kind)
    assert list(given) == list(item)
    assert isinstance(given["more"], list) and isinstance(given["more"][1], tuple)
    assert type(given["point"]).__name__ == "Point" and given["point"]._fields == ("x", "y")
    assert (given["name"], given["other"], given["more"][1][1]) == ("a text", {1, 2}, None)
    arrays = (
        (given["image"], item["image"]),
        (given["more"][0], item["more"][0]),
        (given["more"][1][0], item["more"][1][0]),
        (given["point"].x, item["point"].x),
        (given["point"].y, item["point"].y),
    )
    for array, expected in arrays:
        assert isinstance(array, SimulatedArray)
        assert (array.dtype, array.shape) == (expected.dtype, expected.shape)
        np.testing.assert_array_equal(np.asarray(array), expected)


def test_texts_dates_and_structures_come_as_arrays_of_the_host(gpu: Gpu) -> None:
    item = (
        np.arange(5),
        np.array(["one", "two"]),
        np.array(["2024-01-01", "NaT"], "datetime64[D]"),
        np.array([(1, 2.5)], dtype=[("a", "i4"), ("b", "f8")]),
        np.array([b"bytes"]),
    )
    given = only(item, gpu, workers=2)
    assert isinstance(given[0], SimulatedArray)
    for array, expected in zip(given[1:], item[1:], strict=True):
        assert type(array) is np.ndarray
        assert array.dtype == expected.dtype
        assert array.tobytes() == expected.tobytes()
        assert array.flags.writeable  # the caller's own


NUMBERS = "bool int8 uint8 int16 uint16 int32 uint32 int64 uint64 float16 float32 float64"


@pytest.mark.parametrize("name", [*NUMBERS.split(), "complex64", "complex128"])
def test_every_type_of_numbers_arrives_as_it_is(gpu: Gpu, name: str) -> None:
    array = np.random.default_rng(0).integers(0, 2, (3, 5)).astype(name)
    given = only(array, gpu, workers=0)
    assert given.dtype == np.dtype(name)
    np.testing.assert_array_equal(np.asarray(given), array)


def test_bfloat16_arrives_with_its_own_type_and_bits(gpu: Gpu) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    array = np.arange(12, dtype="float32").astype(ml_dtypes.bfloat16)
    given = only(array, gpu, workers=2)
    assert (given.tensor.code, given.tensor.bits, given.tensor.lanes) == (4, 16, 1)
    assert np.asarray(given).tobytes() == array.tobytes()


@each_kind
def test_the_other_byte_order_is_refused_in_its_place_and_the_cure_named(
    gpu: Gpu, kind: dict[str, Any]
) -> None:
    good, bad = np.arange(4.0), np.arange(4.0).astype(">f8")
    with Loader(Fixed(bad, bad), device="cuda", **kind) as loader:
        for _ in range(2):
            batches = iter(loader)
            for _ in range(2):
                with pytest.raises(SourceError, match=r"byte order.*newbyteorder\('='\)"):
                    next(batches)
            with pytest.raises(StopIteration):
                next(batches)
    np.testing.assert_array_equal(np.asarray(only(good, gpu)), good)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0, 4), (), (1, 1)])
def test_arrays_without_elements_or_without_dimensions(gpu: Gpu, shape: tuple[int, ...]) -> None:
    array = np.ones(shape, "float32")
    for item in (array, (array, np.arange(3)), (np.arange(3), array)):
        given = only(item, gpu, workers=2)
        assert host(given) is not None
        for one, other in zip(
            given if isinstance(item, tuple) else [given],
            item if isinstance(item, tuple) else [item],
            strict=True,
        ):
            assert one.shape == other.shape
            np.testing.assert_array_equal(np.asarray(one), other)


def test_numbers_alone_and_batches_without_any_array(gpu: Gpu) -> None:
    given = only((3, 2.5, np.float32(1.5)), gpu, workers=2)
    assert [np.asarray(part).item() for part in given] == [3, 2.5, 1.5]
    assert only(["a", {"b": None}], gpu, workers=2) == ["a", {"b": None}]


def test_a_batch_of_another_structure_is_an_error_in_its_place(gpu: Gpu) -> None:
    items = [(np.arange(3), np.arange(2.0))] * 6
    items[4] = (np.arange(3), np.arange(2))
    with Loader(Fixed(*items), device="cuda", workers=2) as loader:
        batches = iter(loader)
        for _ in range(4):
            next(batches)
        with pytest.raises(StructureChanged):
            next(batches)
        next(batches)
        assert next(batches, None) is None


# -- batches that lie in no slot ------------------------------------------------------------


@each_kind
@pytest.mark.parametrize("queue", [1, 2])
@pytest.mark.filterwarnings("ignore:A batch of")
def test_batches_that_grow_arrive_whole_and_in_order(
    gpu: Gpu, kind: dict[str, Any], queue: int
) -> None:
    source = Batches(15, rows=of_many_sizes)
    expected = made_by_hand(source)[0]
    with Loader(source, device="cuda", device_queue_size=queue, max_queue_size=3, **kind) as loader:
        for _ in range(2):
            assert_same(loader, expected)


@pytest.mark.filterwarnings("ignore:A batch of")
def test_growing_batches_that_are_kept_stay_right(gpu: Gpu) -> None:
    source = Batches(15, rows=of_many_sizes)
    with Loader(source, device="cuda", workers=2, max_queue_size=3) as loader:
        kept = list(loader)
    assert_same(kept, made_by_hand(source)[0])


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_the_first_batches_come_in_memory_of_their_own(gpu: Gpu, kind: dict[str, Any]) -> None:
    with Loader(Batches(20), device="cuda", **kind) as loader:
        batches = iter(loader)
        next(batches)
        first = loader.stats().device
        assert first is not None and first.uploads >= 1
        assert 1 <= first.host_copies <= 2  # one a worker
        assert indices(batches) == list(range(1, 20))
        last = loader.stats().device
        assert last is not None
        assert last.host_copies <= 2
