"""Files as sources, read by worker processes: each with the library that reads it.

The page docs/files.md is run too; it has datasets in memory and streamed ones, which are not here.
"""

from __future__ import annotations

import importlib.util
import sys
import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import datasets
import h5py
import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
import zarr

from fastfeed import Loader, files
from fastfeed.errors import SourceNotPicklable

N = 100
X = np.arange(N * 12, dtype="float32").reshape(N, 3, 4)
Y = np.arange(N, dtype="int32")
KEYS = ("x", "y")


def from_npy(folder: Path) -> Any:
    np.save(folder / "x.npy", X)
    np.save(folder / "y.npy", Y)
    return files.npy((folder / "x.npy", folder / "y.npy"))


def from_npz(folder: Path) -> Any:
    np.savez(folder / "a.npz", x=X, y=Y)
    return files.npz(folder / "a.npz", KEYS)


def from_hdf5(folder: Path) -> Any:
    write_hdf5(folder / "a.h5")
    return files.hdf5(folder / "a.h5", KEYS)


def from_open_hdf5(folder: Path) -> Any:
    """Opened before there are workers; nobody closes it."""
    write_hdf5(folder / "a.h5")
    file = h5py.File(folder / "a.h5")
    return file["x"], file["y"]


def write_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=X, chunks=(7, 3, 4), compression="gzip")
        file["y"] = Y


def from_zarr(folder: Path) -> Any:
    group = zarr.open_group(folder / "a.zarr", mode="w")
    group.create_array("x", data=X, chunks=(7, 3, 4))
    group.create_array("y", data=Y)
    return files.zarr(folder / "a.zarr", KEYS)


def table() -> pa.Table:
    return pa.table({"x": pa.array(X.tolist(), pa.list_(pa.list_(pa.float32()))), "y": Y})


def from_arrow(folder: Path) -> Any:
    pyarrow.feather.write_feather(table(), str(folder / "a.arrow"), compression="uncompressed")
    return files.arrow(folder / "a.arrow", KEYS)


def from_parquet(folder: Path) -> Any:
    pyarrow.parquet.write_table(table(), folder / "a.parquet", row_group_size=16)
    return files.parquet(folder / "a.parquet", KEYS)


def dataset() -> datasets.Dataset:
    features = datasets.Features(
        {"x": datasets.Array2D((3, 4), "float32"), "y": datasets.Value("int32")}
    )
    return datasets.Dataset.from_dict({"x": X, "y": Y}, features=features)


def from_datasets_on_disk(folder: Path) -> Any:
    dataset().save_to_disk(folder / "ds")
    return datasets.load_from_disk(folder / "ds").shuffle(seed=1)


def from_transformed_dataset(folder: Path) -> Any:
    return dataset().with_transform(
        lambda rows: {"x": np.array(rows["x"], X.dtype), "y": np.array(rows["y"], Y.dtype)}
    )


def from_folder(folder: Path) -> Any:
    for number in range(N):
        np.savez(folder / f"{number}.npz", x=X[number], y=Y[number])
    return files.folder(folder, lambda path: tuple(np.load(path)[key] for key in KEYS), "*.npz")


MAKERS = [value for name, value in globals().items() if name.startswith("from_")]


def shuffled(source: Any, **options: Any) -> list[int]:
    """Feed two epochs; check every value and return the order of the first one."""
    orders = []
    with Loader(source, batch_size=16, workers=2, shuffle=True, seed=5, **options) as loader:
        for _ in range(2):
            numbers: list[int] = []
            for batch in loader:
                x, y = batch.values() if isinstance(batch, dict) else batch
                assert x.dtype == X.dtype and y.dtype == Y.dtype
                np.testing.assert_array_equal(x, X[y])
                numbers += y.tolist()
            assert sorted(numbers) == list(range(N))
            orders.append(numbers)
    assert orders[0] != orders[1]
    return orders[0]


@pytest.mark.parametrize("make", MAKERS)
def test_shuffled_batches_equal_the_arrays(make: Callable[[Path], Any], tmp_path: Path) -> None:
    source = make(tmp_path)
    assert shuffled(source) == shuffled(source, use_multiprocessing=False)


class OwnDataset:
    """As people write them, with the mistake that they make."""

    def __init__(self, path: Path) -> None:
        self.file = h5py.File(path)

    def __len__(self) -> int:
        return N

    def __getitem__(self, index: int) -> Any:
        return self.file["x"][index]


def test_an_own_dataset_with_an_open_file_is_told_where_to_open_it(tmp_path: Path) -> None:
    write_hdf5(tmp_path / "a.h5")
    source = OwnDataset(tmp_path / "a.h5")
    words = r"OwnDataset\.file is a h5py\..*File.*Open it in the worker.*__getitem__"
    with source.file, pytest.raises(SourceNotPicklable, match=words):
        iter(Loader(source, batch_size=2, workers=1))


def write_shards(folder: Path, shards: int) -> None:
    for shard in range(shards):
        with tarfile.open(folder / f"{shard}.tar", "w") as tar:
            for number in range(shard, N, shards):
                data = BytesIO()
                np.save(data, X[number])
                for ending, content in (("npy", data.getvalue()), ("cls", str(number).encode())):
                    info = tarfile.TarInfo(f"{number}.{ending}")
                    info.size = len(content)
                    tar.addfile(info, BytesIO(content))


def test_each_sample_of_tar_shards_comes_once(
    tmp_path: Path,
) -> None:
    write_shards(tmp_path, 2)
    urls = sorted(tmp_path.glob("*.tar"))
    source = files.webdataset(urls, ("npy", "cls"), shuffle=20)
    orders = []
    with Loader(source, batch_size=8, workers=2) as loader:
        for _ in range(2):
            numbers: list[int] = []
            for x, y in loader:
                np.testing.assert_array_equal(x, X[y])
                numbers += y.tolist()
            assert sorted(numbers) == list(range(N))
            orders.append(numbers)
    assert orders[0] != orders[1]


def test_workers_that_read_tar_shards_do_without_torch(tmp_path: Path) -> None:
    write_shards(tmp_path, 1)
    assert importlib.util.find_spec("torch")
    urls = str(tmp_path / "0.tar")
    source = files.webdataset(urls, ["cls"], map=lambda sample: "torch" in sys.modules)
    with Loader(source, batch_size=N, workers=1) as loader:
        (imported,) = loader
        assert len(imported) == N and not imported.any()
