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


def of_dataset(dataset: Any) -> RowReader | Any | None:
    """Return the reader of a `datasets.Dataset` whose columns are all numbers.

    Returns
    -------
    RowReader, datasets.Dataset or None
        A dataset with texts or images is read sample by sample, with its numbers as arrays. None:
        sample by sample as it is, because it has a transform of its own.
    """
    kind = dataset.format["type"]
    names = dataset.format["columns"]
    if kind == "custom" or dataset.format["output_all_columns"] or not len(dataset):
        return None
    schema = dataset.data.table.schema
    if not all(is_numeric(schema.field(name).type) for name in names):
        return None if kind else dataset.with_format("numpy")
    try:
        rows = sample_rows(dataset)
    except AttributeError:  # the library keeps it elsewhere now
        return dataset.with_format(kind or "numpy")
    dtypes = dtypes_of(dataset) if kind in TENSOR_FORMATS else {}
    find = functools.partial(find_column, dataset.data)
    place = f"datasets.Dataset {dataset._fingerprint}"
    return ColumnReader(
        {name: ArrowColumn(find, name, place, dtypes.get(name), rows) for name in names}
    )


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
