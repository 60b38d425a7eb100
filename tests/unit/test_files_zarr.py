"""Zarr arrays by row numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr as package
from unit_files import ORDERS, read
from unit_sources import same

from fastfeed.errors import SourceError
from fastfeed.files import zarr
from fastfeed.files.recognise import reader_of

X = np.arange(60, dtype="float32").reshape(10, 2, 3)
Y = np.arange(10, dtype="uint8")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A group of arrays with ten rows."""
    group = package.open_group(tmp_path / "a.zarr", mode="w")
    group.create_array("x", data=X, chunks=(3, 2, 2))
    group.create_array("y", data=Y, chunks=(10,))
    group.create_group("inner").create_array("z", data=X.astype(">f8"), chunks=(4, 2, 3))
    return tmp_path / "a.zarr"


@pytest.mark.parametrize("index", ORDERS)
def test_rows_in_any_order(path: Path, index: list[int]) -> None:
    found = read(zarr(path, ("x", "y", "inner/z")), index)
    assert same(found, (X[index], Y[index], X.astype("f8")[index]))


def test_keys_say_which_arrays_in_what_structure(path: Path) -> None:
    assert same(read(zarr(path), [3, 1]), {"x": X[[3, 1]], "y": Y[[3, 1]]})
    assert same(read(zarr(path, {"label": "y"}), [3]), {"label": Y[[3]]})
    assert same(read(zarr(path / "x"), [3]), X[[3]])


def test_the_second_version_of_the_format(tmp_path: Path) -> None:
    package.create_array(tmp_path / "old.zarr", data=X, chunks=(4, 2, 3), zarr_format=2)
    reader = zarr(tmp_path / "old.zarr")
    assert same(read(reader, [9, 0]), X[[9, 0]])
    assert ".zarray" in reader.fingerprint()


def test_open_arrays_are_read_as_they_are(path: Path) -> None:
    group = package.open_group(path, mode="r")
    assert same(read(reader_of(group["x"]), [8, 2]), X[[8, 2]])
    assert same(read(reader_of((group["x"], Y)), [8, 2]), (X[[8, 2]], Y[[8, 2]]))
    assert same(read(reader_of(group), [8, 2]), {"x": X[[8, 2]], "y": Y[[8, 2]]})
    in_memory = package.create_array(package.storage.MemoryStore(), data=X)
    assert same(read(reader_of({"x": in_memory}), [8, 2]), {"x": X[[8, 2]]})


@pytest.mark.parametrize("keys", ["nothing", ("x", "nothing"), "inner", "inner/no", 3])
def test_a_key_that_is_not_there(path: Path, keys: Any) -> None:
    with pytest.raises(SourceError, match=r"a\.zarr has no .*It has: x, y"):
        zarr(path, keys)


def test_stores_that_cannot_be_read(path: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"There is no .*none\.zarr"):
        zarr(tmp_path / "none.zarr")
    with pytest.raises(SourceError, match=r"is no Zarr store"):
        zarr(tmp_path)
    with pytest.raises(SourceError, match=r"single array: leave keys out.*Received: keys='x'"):
        zarr(path / "x", "x")
    with pytest.raises(SourceError, match=r"has no array to choose"):
        package.open_group(tmp_path / "empty.zarr", mode="w")
        zarr(tmp_path / "empty.zarr")


def test_arrays_that_cannot_be_a_batch(tmp_path: Path) -> None:
    group = package.open_group(tmp_path / "a.zarr", mode="w")
    group.create_array("none", shape=(0, 3), dtype="f4")
    group.create_array("x", data=X)
    group.create_array("short", data=X[:7])
    with pytest.raises(SourceError, match=r"none has no rows"):
        zarr(tmp_path / "a.zarr", "none")
    with pytest.raises(SourceError, match=r"x: 10, .*short: 7"):
        zarr(tmp_path / "a.zarr", ("x", "short"))


def test_the_fingerprint_is_of_the_array(path: Path) -> None:
    first = zarr(path, "x").fingerprint()
    assert zarr(path, "x").fingerprint() == first
    assert zarr(path, "y").fingerprint() != first
    package.create_array(path / "x", data=X, overwrite=True)
    assert zarr(path, "x").fingerprint() != first


def test_a_store_that_is_gone_is_not_read_as_zeros(path: Path) -> None:
    """To the library a missing chunk is one that holds nothing but the fill value."""
    reader = zarr(path, "x")
    path.rename(path.with_name("moved.zarr"))
    with pytest.raises(SourceError, match=r"x/zarr\.json was written or removed after"):
        read(reader, [3])


def test_an_open_array_with_a_relative_path_in_another_folder(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    array = package.open_array("a.zarr/x", mode="r")
    assert same(read(reader_of(array), [3]), X[[3]])
    monkeypatch.chdir("/")
    with pytest.raises(SourceError, match=r"is not in /a\.zarr/x, .*zeros.*absolute path"):
        reader_of(array)


def test_a_store_in_a_zip_file_is_passed_open(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with package.storage.ZipStore(path, mode="w") as store:
        package.create_array(store, name="x", data=X)
    with pytest.raises(SourceError, match=r"no Zarr store.*zarr\.open\(zarr\.storage\.ZipStore"):
        zarr(path, "x")
    with package.storage.ZipStore(path, mode="r") as store:
        group = package.open(store)
        assert same(read(reader_of(group), [3, 1]), {"x": X[[3, 1]]})
