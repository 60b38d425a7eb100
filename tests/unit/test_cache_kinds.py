"""What every cache does: it gives back what was added, whole, or nothing."""

from __future__ import annotations

import collections
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit_cache import BUDGET, KINDS, new_cache, reopened
from unit_sources import same
from unit_trees import every_dtype, every_memory_layout

from fastfeed.caching.base import Cache
from fastfeed.caching.opening import open_cache
from fastfeed.errors import ArgumentError

Pair = collections.namedtuple("Pair", ["left", "right"])


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def cache(kind: str, tmp_path: Path) -> Iterator[Cache]:
    made = new_cache(kind, tmp_path / "cache")
    yield made
    made.close()


def kept(cache: Cache, kind: str, folder: Path, sample: Any, row: int = 3) -> Any:
    """A sample as it comes out of the cache."""
    cache.add(row, sample)
    again = reopened(cache, kind, folder)
    try:
        return again.find(row)
    finally:
        if again is not cache:
            again.close()


SAMPLES = {
    "array": np.arange(12.0).reshape(3, 4),
    "empty": np.zeros((0, 3)),
    "scalar": np.asarray(7),
    "large": np.arange(300_000, dtype=np.uint16),
    "nested": {"x": [np.arange(3), (np.ones((2, 2), bool), np.asarray(1.5))], "y": np.arange(5)},
    "named": Pair(np.arange(3), np.arange(4)),
    "objects": (np.arange(3), "a text", {"box": (1, 2.5, None)}, b"bytes"),
    "objects alone": {"name": "x", "number": 5},
}


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)
def test_what_was_added_comes_back(cache: Cache, kind: str, tmp_path: Path, sample: Any) -> None:
    assert cache.find(3) is None
    assert same(kept(cache, kind, tmp_path / "cache", sample), sample)


@pytest.mark.parametrize("shape", [(), (3,), (2, 0), (3, 5)])
def test_every_dtype_comes_back(
    cache: Cache, kind: str, tmp_path: Path, shape: tuple[int, ...]
) -> None:
    sample = every_dtype(shape)
    assert same(kept(cache, kind, tmp_path / "cache", sample), sample)


def test_every_memory_layout_comes_back(cache: Cache, kind: str, tmp_path: Path) -> None:
    sample = every_memory_layout()
    found = kept(cache, kind, tmp_path / "cache", sample)
    for name, array in sample.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_what_comes_back_cannot_be_written_to(cache: Cache, kind: str, tmp_path: Path) -> None:
    found = kept(cache, kind, tmp_path / "cache", (np.arange(3), np.arange(100_000)))
    for array in found:
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 7


def test_a_sample_is_not_the_callers_any_more(cache: Cache, kind: str, tmp_path: Path) -> None:
    array = np.arange(3)
    cache.add(3, array)
    array[:] = 9
    again = reopened(cache, kind, tmp_path / "cache")
    assert again.find(3).tolist() == [0, 1, 2]
    again.close()


def test_the_first_sample_of_a_number_stays(cache: Cache, kind: str, tmp_path: Path) -> None:
    cache.add(5, np.arange(3))
    cache = reopened(cache, kind, tmp_path / "cache")
    cache.add(5, np.arange(30))
    cache = reopened(cache, kind, tmp_path / "cache")
    assert cache.find(5).tolist() == [0, 1, 2]
    assert cache.use().samples == 1
    cache.close()


def test_each_number_has_its_own_sample(cache: Cache, kind: str, tmp_path: Path) -> None:
    for row in (99, 0, 50):
        cache.add(row, (np.full(1000, row), row))
    cache = reopened(cache, kind, tmp_path / "cache")
    for row in range(100):
        found = cache.find(row)
        assert (found is not None) == (row in (0, 50, 99))
        assert found is None or (found[0][0] == row and found[1] == row)
    cache.close()


# -- gathering ------------------------------------------------------------------------------


def batch_of(sample: Any, rows: int) -> Any:
    """Arrays with so many rows, each of which looks like the sample."""
    if isinstance(sample, dict):
        return {name: batch_of(part, rows) for name, part in sample.items()}
    if isinstance(sample, tuple):
        return tuple(batch_of(part, rows) for part in sample)
    return np.full((rows, *sample.shape), 77).astype(sample.dtype)


def filled_with(cache: Cache, kind: str, folder: Path, samples: dict[int, Any]) -> Cache:
    for row, sample in samples.items():
        cache.add(row, sample)
    return reopened(cache, kind, folder)


def of(row: int) -> Any:
    return {"x": np.full((3, 2), row, np.uint8), "y": (np.asarray(row), np.asarray(row / 2))}


def test_rows_that_are_there_are_copied(cache: Cache, kind: str, tmp_path: Path) -> None:
    cache = filled_with(cache, kind, tmp_path / "cache", {row: of(row) for row in range(0, 100, 2)})
    rows = np.array([4, 5, 98, 4, 99])
    out = batch_of(of(0), 5)
    assert cache.gather(rows, out).tolist() == [True, False, True, True, False]
    assert out["x"][:, 1, 1].tolist() == [4, 77, 98, 4, 77]
    assert out["y"][0].tolist() == [4, 77, 98, 4, 77]
    assert out["y"][1].tolist() == [2, 77, 49, 2, 77]
    cache.close()


OTHER_LOOKS = {
    "dtype": {"x": np.zeros((3, 2), np.int8), "y": (np.asarray(0), np.asarray(0.5))},
    "shape": {"x": np.zeros((2, 3), np.uint8), "y": (np.asarray(0), np.asarray(0.5))},
    "name": {"z": np.zeros((3, 2), np.uint8), "y": (np.asarray(0), np.asarray(0.5))},
    "more": {"x": np.zeros((3, 2), np.uint8), "y": (np.asarray(0),)},
    "a leaf": np.zeros((3, 2), np.uint8),
    "objects": {"x": np.zeros((3, 2), np.uint8), "y": ("a", "b")},
}


@pytest.mark.parametrize("other", OTHER_LOOKS.values(), ids=OTHER_LOOKS)
def test_samples_that_look_different_are_not_copied(
    cache: Cache, kind: str, tmp_path: Path, other: Any
) -> None:
    cache = filled_with(cache, kind, tmp_path / "cache", {1: of(1), 2: other, 3: of(3)})
    out = batch_of(of(0), 3)
    assert cache.gather(np.array([1, 2, 3]), out).tolist() == [True, False, True]
    assert out["x"][:, 0, 0].tolist() == [1, 77, 3]
    cache.close()


def test_parts_of_larger_arrays_are_copied_to(cache: Cache, kind: str, tmp_path: Path) -> None:
    cache = filled_with(cache, kind, tmp_path / "cache", {row: of(row) for row in range(10)})
    whole = batch_of(of(0), 8)
    part = {"x": whole["x"][2:5], "y": tuple(array[2:5] for array in whole["y"])}
    assert cache.gather(np.array([7, 8, 9]), part).all()
    assert whole["y"][0].tolist() == [77, 77, 7, 8, 9, 77, 77, 77]
    assert whole["x"][:, 2, 1].tolist() == [77, 77, 7, 8, 9, 77, 77, 77]
    cache.close()


def test_more_arrays_than_are_copied_natively_are_found(
    cache: Cache, kind: str, tmp_path: Path
) -> None:
    sample = tuple(np.asarray(i) for i in range(200))
    cache = filled_with(cache, kind, tmp_path / "cache", {0: sample})
    out = batch_of(sample, 1)
    done = cache.gather(np.array([0]), out)
    assert [array[0] for array in out] == (list(range(200)) if done.all() else [77] * 200)
    assert same(cache.find(0), sample)
    cache.close()


def test_objects_are_not_copied_to(cache: Cache) -> None:
    cache.add(0, ("text", np.arange(3)))
    assert not cache.gather(np.array([0]), (["text"], np.zeros((1, 3), int))).any()
    assert not cache.gather(np.array([], np.int64), (np.zeros((0, 3)),)).any()


@given(st.lists(st.integers(0, 99), max_size=30), st.lists(st.integers(0, 99), max_size=30))
@pytest.mark.parametrize("kind", ["memory"])
def test_gathered_is_what_was_added(
    kind: str, tmp_path: Path, added: list[int], asked: list[int]
) -> None:
    cache = new_cache(kind, tmp_path)
    for row in added:
        cache.add(row, (np.full(5, row), np.asarray(row)))
    out = np.full((len(asked), 5), -1), np.full(len(asked), -1)
    done = cache.gather(np.array(asked, np.int64), out)
    assert done.tolist() == [row in added for row in asked]
    assert out[1].tolist() == [row if row in added else -1 for row in asked]
    assert (out[0] == out[1][:, None]).all()
    cache.close()


# -- budgets --------------------------------------------------------------------------------


def test_the_budget_holds_and_what_is_there_stays(kind: str, tmp_path: Path) -> None:
    cache = new_cache(kind, tmp_path / "cache", budget=1 << 20)
    said = pytest.warns(RuntimeWarning, match="stops growing")
    with said if kind == "disk" else contextlib.nullcontext():
        for row in range(50):
            cache.add(row, np.full(50_000, row, np.uint8))
            cache = reopened(cache, kind, tmp_path / "cache", budget=1 << 20)
    there = [row for row in range(50) if cache.find(row) is not None]
    assert 10 < len(there) < 21
    assert all((cache.find(row) == row).all() for row in there)
    assert cache.use().samples == len(there)
    assert 500_000 < cache.use().used_bytes <= 1 << 20
    cache.close()


def test_a_budget_smaller_than_one_sample_is_refused(cache: Cache, kind: str) -> None:
    with pytest.raises(ArgumentError, match=r"A sample takes 4\.\d MiB.*cache_budget") as caught:
        cache.add(0, np.zeros(BUDGET + 400_000, np.uint8))
    assert str(BUDGET) in str(caught.value)
    assert cache.find(0) is None


def test_a_sample_that_does_not_fit_beside_others_is_left_out(cache: Cache, kind: str) -> None:
    cache.add(0, np.arange(3))
    cache.add(1, np.zeros(BUDGET + 1, np.uint8))
    assert cache.find(1) is None


@pytest.mark.parametrize("budget", [0, -1, 1.5, "1 GiB", True])
def test_a_budget_must_be_a_number_of_bytes(kind: str, tmp_path: Path, budget: Any) -> None:
    with pytest.raises(ArgumentError, match=r"number of bytes.*Received: cache_budget="):
        new_cache(kind, tmp_path / "cache", budget=budget)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("option", ["ram", "disk", "disk:", "Memory", "", 5, Path("x")])
def test_there_are_two_kinds(option: Any) -> None:
    with pytest.raises(ArgumentError, match=r'"memory".*"disk:FOLDER".*Received: cache='):
        open_cache(option, None, 10, "data")
