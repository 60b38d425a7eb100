"""Datasets of Hugging Face's library, as they are."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from PIL import Image
from unit_files import ORDERS, read
from unit_sources import fed, same

from fastfeed.errors import SourceError
from fastfeed.files.columns import ColumnReader
from fastfeed.files.recognise import reader_of

X = np.arange(10, dtype="float64") / 3
Y = np.arange(10, dtype="int32")
WIDE = np.arange(30, dtype="int64").reshape(10, 3)
SQUARE = np.arange(40, dtype="float32").reshape(10, 2, 2)
FEATURES = datasets.Features(
    {
        "x": datasets.Value("float64"),
        "y": datasets.Value("int32"),
        "wide": datasets.Sequence(datasets.Value("int64")),
        "square": datasets.Array2D((2, 2), "float32"),
        "label": datasets.ClassLabel(names=["even", "odd"]),
    }
)
EXPECTED = {"x": X, "y": Y, "wide": WIDE, "square": SQUARE, "label": np.arange(10) % 2}


@pytest.fixture
def dataset() -> datasets.Dataset:
    """Ten rows of numbers in memory."""
    return datasets.Dataset.from_dict(EXPECTED, features=FEATURES)


def rows_of(expected: dict[str, np.ndarray], index: Any) -> dict[str, np.ndarray]:
    return {name: array[index] for name, array in expected.items()}


@pytest.mark.parametrize("index", ORDERS)
def test_rows_in_any_order_with_the_columns_own_dtypes(
    dataset: datasets.Dataset, index: list[int]
) -> None:
    assert same(read(reader_of(dataset), index), rows_of(EXPECTED, index))


@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_a_format_decides_the_dtypes(dataset: datasets.Dataset, kind: str) -> None:
    formatted = dataset.with_format(kind)
    expected = {name: np.asarray(value) for name, value in formatted[[8, 3, 3]].items()}
    assert expected["x"].dtype == "float32"
    assert same(read(reader_of(formatted), [8, 3, 3]), expected)


def test_the_formats_columns_and_arguments(dataset: datasets.Dataset) -> None:
    formatted = dataset.with_format("numpy", columns=["y", "x"], dtype=np.float16)
    found = read(reader_of(formatted), [2, 1])
    assert same(found, {"y": Y[[2, 1]].astype("f2"), "x": X[[2, 1]].astype("f2")})


@pytest.mark.parametrize(
    "change",
    [
        lambda ds: ds.shuffle(seed=3),
        lambda ds: ds.select([9, 1, 1, 4, 0]),
        lambda ds: ds.select(range(2, 9)),
        lambda ds: ds.shuffle(seed=3).select(range(5)),
        lambda ds: ds.filter(lambda row: row["y"] % 3 == 1),
        lambda ds: ds.train_test_split(0.5, seed=1)["test"],
        lambda ds: ds.shard(3, 1),
        lambda ds: datasets.concatenate_datasets([ds.select([3, 2]), ds]),
        lambda ds: ds.rename_column("x", "z").remove_columns(["wide"]),
        lambda ds: ds.map(lambda row: {"x": row["x"] * 2}),
    ],
)
def test_changed_datasets_give_what_indexing_gives(dataset: datasets.Dataset, change: Any) -> None:
    changed = change(dataset)
    reader = reader_of(changed)
    assert isinstance(reader, ColumnReader) and reader.n_samples == len(changed)
    index = [len(changed) - 1, 0, 2, 0]
    expected = changed.with_format("numpy", dtype=np.float64)[index]
    found = read(reader, index)
    assert found.keys() == expected.keys()
    for name, values in found.items():
        np.testing.assert_array_equal(values, expected[name])


def test_a_dataset_on_disk_is_sent_as_its_paths(dataset: datasets.Dataset, tmp_path: Path) -> None:
    many = datasets.concatenate_datasets([dataset] * 1000)
    many.save_to_disk(tmp_path / "ds")
    reader = reader_of(datasets.load_from_disk(tmp_path / "ds"))
    assert len(pickle.dumps(reader)) < 20_000 < X.nbytes * 1000
    assert same(read(reader, [9_999, 5]), rows_of(EXPECTED, [9, 5]))


def test_texts_beside_numbers_come_sample_by_sample(dataset: datasets.Dataset) -> None:
    names = [f"number {i}" for i in range(10)]
    batch, _ = fed(dataset.add_column("name", names), batch_size=5, workers=0)
    assert batch["name"] == names[:5] and {type(name) for name in batch["name"]} == {str}
    assert np.array_equal(batch["wide"], WIDE[:5]) and np.array_equal(
        batch["label"], [0, 1] * 2 + [0]
    )


def test_images_are_decoded_sample_by_sample() -> None:
    pixels = np.arange(10 * 12, dtype="uint8").reshape(10, 2, 2, 3)
    rows = {"image": [Image.fromarray(each) for each in pixels], "label": list(range(10))}
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
    pictures = datasets.Dataset.from_dict(rows, features=features)
    (batch,) = fed(pictures, batch_size=10, workers=0)
    assert same(batch, {"image": pixels, "label": np.arange(10)})


def test_a_transform_is_called_for_each_sample(dataset: datasets.Dataset) -> None:
    def double(rows: dict[str, Any]) -> dict[str, Any]:
        return {"x": np.array(rows["x"]) * 2, "lengths": [len(rows["x"])] * len(rows["x"])}

    given = fed(dataset.with_transform(double), batch_size=5, workers=0)
    assert same(np.concatenate([batch["x"] for batch in given]), X * 2)
    assert given[0]["lengths"].tolist() == [1] * 5


def test_batches_through_the_loader(dataset: datasets.Dataset) -> None:
    given = fed(dataset, batch_size=4, shuffle=True, workers=0)
    order = np.concatenate([batch["y"] for batch in given])
    assert sorted(order) == Y.tolist() and not np.array_equal(order, Y)
    for name, values in EXPECTED.items():
        assert same(np.concatenate([batch[name] for batch in given]), values[order])


def test_lists_that_differ_in_length() -> None:
    ragged = datasets.Dataset.from_dict({"ids": [[1, 2], [3]]})
    with pytest.raises(SourceError, match=r"'ids' holds lists of 1 to 2 values.*padding="):
        fed(ragged, batch_size=2, workers=0)


def test_missing_values(dataset: datasets.Dataset) -> None:
    with pytest.raises(SourceError, match=r"'x' has missing values \(null\): 1 of 3"):
        fed(datasets.Dataset.from_dict({"x": [1, None, 3]}), batch_size=2, workers=0)


def test_an_empty_dataset(dataset: datasets.Dataset) -> None:
    with pytest.raises(SourceError, match="empty"):
        fed(dataset.select([]), batch_size=2, workers=0)


def test_a_dict_of_splits_asks_for_one(dataset: datasets.Dataset) -> None:
    splits = dataset.train_test_split(0.5)
    with pytest.raises(SourceError, match=r"one of \['train', 'test'\].*dataset\['train'\]"):
        fed(splits, batch_size=2, workers=0)
    streamed = datasets.IterableDatasetDict({"a": dataset.to_iterable_dataset()})
    with pytest.raises(SourceError, match=r"The IterableDatasetDict holds .*dataset\['a'\]"):
        fed(streamed, batch_size=2, workers=0)


def test_one_column_is_samples_and_several_are_no_tuple_of_them(dataset: datasets.Dataset) -> None:
    given = fed(dataset["y"], batch_size=4, workers=0)
    assert np.array_equal(np.concatenate(given), Y)
    with pytest.raises(SourceError, match=r"Column are no samples.*select_columns"):
        fed((dataset["x"], dataset["y"]), batch_size=4, workers=0)


def test_a_streamed_dataset_comes_in_its_order(dataset: datasets.Dataset) -> None:
    streamed = dataset.with_format("numpy").to_iterable_dataset(num_shards=4)
    given = fed(streamed, batch_size=4, workers=0)
    assert np.array_equal(np.concatenate([batch["y"] for batch in given]), Y)


def test_the_fingerprint_is_of_the_rows(dataset: datasets.Dataset) -> None:
    prints = {
        reader_of(each).fingerprint()
        for each in (dataset, dataset.shuffle(seed=1), dataset.shuffle(seed=2), dataset.select([1]))
    }
    assert len(prints) == 4


SHUFFLED = """
import datasets
from fastfeed.files.recognise import reader_of
print(reader_of(datasets.Dataset.from_dict({"x": [1, 2, 3]}).shuffle(seed=3)).fingerprint())
"""


def test_the_fingerprint_is_the_same_in_every_run() -> None:
    here = reader_of(datasets.Dataset.from_dict({"x": [1, 2, 3]}).shuffle(seed=3)).fingerprint()
    there = subprocess.check_output([sys.executable, "-c", SHUFFLED], text=True)
    assert there == here + "\n"
