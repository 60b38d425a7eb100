"""HDF5 datasets by row numbers."""

from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from unit_files import ORDERS, read
from unit_sources import fed, same

from fastfeed import Loader
from fastfeed.errors import ArgumentError, SourceError, SourceNotPicklable
from fastfeed.files import LibraryMissing, hdf5, hdf5_files
from fastfeed.files.recognise import reader_of

X = np.arange(60, dtype="float32").reshape(10, 2, 3)
WAYS: dict[str, dict[str, Any]] = {
    "contiguous": {},
    "chunked": {"chunks": (3, 2, 2)},
    "compressed": {"chunks": (4, 2, 3), "compression": "gzip"},
    "resizable": {"maxshape": (None, 2, 3)},
    "fletcher": {"fletcher32": True},
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with datasets of ten rows."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, options in WAYS.items():
            file.create_dataset(name, data=X, **options)
        file["labels/first"] = np.arange(10, dtype="uint8")
    return path


@pytest.mark.parametrize("index", ORDERS)
@pytest.mark.parametrize("way", WAYS)
def test_rows_in_any_order(path: Path, way: str, index: list[int]) -> None:
    assert same(read(hdf5(path, way), index), X[index])


@pytest.mark.parametrize(
    "values",
    [
        X.astype(">f8"),
        X.astype("<i2"),
        X.astype(">u4"),
        X > 30,
        X.astype("float16"),
        X * 1j,
        np.array([b"ab", b"c"] * 5),
        np.arange(10),
    ],
    ids=lambda values: str(values.dtype),
)
@pytest.mark.parametrize("chunks", [None, True])
def test_dtypes_come_in_this_machines_byte_order(tmp_path: Path, values: Any, chunks: Any) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=values, chunks=chunks)
    expected = values.astype(values.dtype.newbyteorder("="))
    assert same(read(hdf5(tmp_path / "a.h5", "x"), [9, 0, 1]), expected[[9, 0, 1]])


def test_only_values_that_lie_as_they_are_in_memory_are_mapped(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["other order"] = X.astype(">f4")
        file.create_dataset("elsewhere", (10,), "u1", external=[("raw", 0, 10)])
        layout = h5py.VirtualLayout((10, 2, 3), "f4")
        layout[:] = h5py.VirtualSource(file["contiguous"])
        file.create_virtual_dataset("virtual", layout)
    with h5py.File(path) as file:
        names = [*WAYS, "labels/first", "other order", "elsewhere", "virtual"]
        mapped = [name for name in names if hdf5_files.offset_of(file[name]) is not None]
    assert mapped == ["contiguous", "labels/first"]
    assert same(read(hdf5(path, "virtual"), [4, 1]), X[[4, 1]])


def test_keys_say_which_datasets_in_what_structure(path: Path) -> None:
    labels = np.arange(10, dtype="uint8")
    assert same(read(hdf5(path, ("chunked", "/labels/first")), [2]), (X[[2]], labels[[2]]))
    named = hdf5(path, {"x": "chunked", "y": ("labels/first", "compressed")})
    assert same(read(named, [5]), {"x": X[[5]], "y": (labels[[5]], X[[5]])})
    assert list(read(hdf5(path, ["chunked", "compressed"]), [5])) == ["chunked", "compressed"]
    assert sorted(read(hdf5(path), [5])) == sorted(WAYS)


@pytest.mark.parametrize("keys", ["nothing", ("chunked", "nothing"), "labels", "labels/no", 3])
def test_a_key_that_is_not_there(path: Path, keys: Any) -> None:
    with pytest.raises(SourceError, match=r"a\.h5 has no .*It has: chunked, compressed, "):
        hdf5(path, keys)


def test_a_file_whose_datasets_lie_in_groups(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["train/x"] = X
    with pytest.raises(SourceError, match=r"no dataset outside of its groups.*It has: train/x"):
        hdf5(tmp_path / "a.h5")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["a", "bcd"], "holds Python objects.*fixed length"),
        (np.zeros((0, 3)), "has no rows"),
        (3.5, "has no rows"),
        (h5py.Empty("f4"), "has no rows"),
    ],
)
def test_datasets_without_rows_of_bytes(tmp_path: Path, values: Any, words: str) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = values
    with pytest.raises(SourceError, match=rf"a\.h5/x {words}"):
        hdf5(tmp_path / "a.h5", "x")


def test_links_that_lead_nowhere_are_no_datasets(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["soft"] = h5py.SoftLink("/removed")
        file["outside"] = h5py.ExternalLink("removed.h5", "/x")
    assert sorted(read(hdf5(path), [5])) == sorted(WAYS)
    for name in ("soft", "outside"):
        with pytest.raises(SourceError, match=rf"a\.h5 has no '{name}'"):
            hdf5(path, name)


def test_an_error_of_the_library_says_what_was_being_read(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        chunk = file.create_dataset("x", data=X, chunks=X.shape, compression="gzip").id
        place = chunk.get_chunk_info(0).byte_offset
    with path.open("r+b") as damaged:
        damaged.seek(place)
        damaged.write(b"damaged")
    with pytest.raises(OSError, match="filter") as caught:
        fed(hdf5(path, "x"), batch_size=2, workers=1)
    assert f"{path}/x was being read." in caught.value.__notes__


@pytest.mark.parametrize("cache", [None, "memory"])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_closed_loader_leaves_the_file_to_its_writer(
    path: Path, workers: int, cache: str | None
) -> None:
    """Whoever keeps the source can feed it anew, as long as the file is what it was."""
    source = hdf5(path, ("compressed", "contiguous"))
    options: dict[str, Any] = {"workers": workers, "use_multiprocessing": False, "cache": cache}
    options["batch_size"] = 2
    with Loader(source, **options) as still_open:
        batches = iter(still_open)
        next(batches)
        assert len(fed(source, **options)) == 5
        assert sum(len(one) for one, _ in batches) == 8
    with h5py.File(path, "r+") as file:
        file["more"] = X
    with pytest.raises(SourceError, match="was written or removed"):
        fed(source, **options)


def test_lengths_that_differ(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["short"] = X[:7]
    with pytest.raises(SourceError, match=r"chunked: 10, .*short: 7\. Choose"):
        hdf5(path, ("chunked", "short"))


def test_files_that_cannot_be_opened(path: Path) -> None:
    with pytest.raises(SourceError, match=r"There is no .*none\.h5"):
        hdf5(path.with_name("none.h5"))
    with pytest.raises(SourceError, match=r"s3://bucket/a\.h5 is no path of a local file"):
        hdf5("s3://bucket/a.h5")
    other = path.with_name("text.h5")
    other.write_text("no file of this kind")
    with pytest.raises(SourceError, match=r"text\.h5 is no HDF5 file"):
        hdf5(other)
    other.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(SourceError, match=r"text\.h5 is no HDF5 file, or it is cut off.*truncated"):
        hdf5(other)
    with pytest.raises(ArgumentError, match=r"path of one file.*Received: a list"):
        hdf5([path, path])
    with h5py.File(path, "r+"), pytest.raises(SourceError, match=r"open for writing.*Close it"):
        hdf5(path)
    with path.open() as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)  # as another program's HDF5 does
        with pytest.raises(SourceError, match=r"cannot be opened for reading.*another program"):
            hdf5(path)


def test_an_open_dataset_is_read_through_its_files_path(path: Path) -> None:
    with h5py.File(path) as file:
        reader = reader_of(file["chunked"])
        pair = reader_of((file["compressed"], X))
        everything = reader_of(file)
        group = reader_of(file["labels"])
    assert same(read(reader, [8, 2]), X[[8, 2]])
    assert same(read(pair, [8, 2]), (X[[8, 2]], X[[8, 2]]))
    assert sorted(read(everything, [1])) == sorted(WAYS)
    assert same(read(group, [9]), {"first": np.uint8([9])})


def test_open_files_that_no_worker_could_open(path: Path, tmp_path: Path) -> None:
    with h5py.File(path, "r+") as file, pytest.raises(SourceError, match=r"writing \(mode 'r\+'\)"):
        reader_of(file["chunked"])
    with (
        h5py.File("memory", "w", driver="core", backing_store=False) as file,
        pytest.raises(SourceError, match="memory alone"),
    ):
        reader_of(file.create_dataset("x", data=X))
    with h5py.File(path) as file:
        dataset = file["chunked"]
    for closed in (file, dataset):
        with pytest.raises(SourceError, match="is closed"):
            reader_of(closed)


def test_a_library_that_is_not_installed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(LibraryMissing, match=r"HDF5 needs h5py.*pip install h5py"):
        hdf5(path)


class OwnDataset:
    """As people write them for other loaders, with the mistake that they make."""

    def __init__(self, path: Path) -> None:
        self.file = h5py.File(path)

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> Any:
        return self.file["chunked"][index]


def test_an_own_dataset_with_an_open_file_is_told_where_to_open_it(path: Path) -> None:
    source = OwnDataset(path)
    words = r"OwnDataset\.file is a h5py\..*File.*Open it in the worker.*__getitem__"
    with source.file, pytest.raises(SourceNotPicklable, match=words):
        fed(source, batch_size=2, workers=1)


def test_the_fingerprint_is_of_the_file_and_of_what_is_read(path: Path) -> None:
    first = hdf5(path, "chunked").fingerprint()
    assert hdf5(path, "chunked").fingerprint() == first
    assert hdf5(path, "compressed").fingerprint() != first
    os.utime(path, ns=(1, 1))
    assert hdf5(path, "chunked").fingerprint() != first


def test_a_reader_can_be_sent_after_it_was_opened(path: Path) -> None:
    reader = hdf5(path, "compressed")
    reader.open()
    assert same(read(reader, [1]), X[[1]])


@pytest.mark.parametrize("way", ["contiguous", "compressed"])
def test_a_file_that_was_written_meanwhile_is_not_read(path: Path, way: str) -> None:
    """It is free for its writer; but what was looked up of it is true no more."""
    reader = hdf5(path, way)
    with h5py.File(path, "r+") as file:
        file[way][0] = 5
    with pytest.raises(SourceError, match=r"a\.h5 was written or removed after.*anew"):
        read(reader, [0])
    assert read(hdf5(path, way), [0]).max() == 5
    path.unlink()
    with pytest.raises(SourceError, match=r"a\.h5 was written or removed after"):
        read(reader, [0])
