"""Datasets of Hugging Face's library, as they are: rows come from their Arrow tables."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from fastfeed.files.arrow_values import ArrowColumn, is_numeric
from fastfeed.files.columns import ColumnReader
from fastfeed.sources.rows import RowReader
from fastfeed.structure import as_leaf

TENSOR_FORMATS = ("numpy", "torch", "tensorflow", "jax")


def of_dataset(dataset: Any) -> RowReader | DatasetSamples:
    """Return what reads a `datasets.Dataset`: many rows at once where all columns are numbers.

    One with texts or images, or with a transform of its own, comes sample by sample.
    """
    kind = dataset.format["type"]
    names = dataset.format["columns"]
    if kind == "custom" or dataset.format["output_all_columns"] or not len(dataset):
        return DatasetSamples(dataset)
    schema = dataset.data.table.schema
    known = hasattr(dataset, "_indices")  # the library may keep it elsewhere one day
    if not known or not all(is_numeric(schema.field(name).type) for name in names):
        return DatasetSamples(dataset if kind else dataset.with_format("numpy"))
    rows = sample_rows(dataset)
    dtypes = dtypes_of(dataset) if kind in TENSOR_FORMATS else {}
    find = functools.partial(find_column, dataset.data)
    place = f"datasets.Dataset {dataset._fingerprint}"
    return ColumnReader(
        {name: ArrowColumn(find, name, place, dtypes.get(name), rows) for name in names}
    )


class DatasetSamples:
    """A dataset's samples, one by one, with texts as Python has them."""

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> dict[str, Any]:
        row = self._dataset[index]
        return {name: str(v) if isinstance(v, np.str_) else v for name, v in row.items()}

    def fingerprint(self) -> str:
        """Return the dataset's own, which changes with all that is done to it."""
        return f"datasets.Dataset {self._dataset._fingerprint}"


def find_column(table: Any, name: str) -> Any:
    """Return a column; `table` maps its files again in each worker."""
    return table.table.column(name)


def sample_rows(dataset: Any) -> Any:
    """Return the table's row for each sample where `shuffle`, `select`, ... have changed that."""
    if dataset._indices is None:
        return None
    return dataset._indices.column(0).to_numpy().astype(np.int64)


def dtypes_of(dataset: Any) -> dict[str, Any]:
    """Return what the dataset's format turns its numbers into, for example float64 to float32."""
    return {name: np.asarray(as_leaf(value)).dtype for name, value in dataset[:1].items()}
