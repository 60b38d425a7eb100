"""Objects of the formats' own libraries that are passed to `Loader` as they are.

No library is imported for that: an object of one can only be there if it is imported already.
"""

from __future__ import annotations

import sys
from typing import Any

from fastfeed.errors import SourceError
from fastfeed.files.arrow_tables import arrow
from fastfeed.files.columns import ArrayColumn, Column, ColumnReader
from fastfeed.files.hdf5_files import HDF5Column, of_group
from fastfeed.files.huggingface import of_dataset
from fastfeed.files.zarr_stores import ZarrColumn, of_node
from fastfeed.structure import Tree, leaves, map_leaves


def reader_of(source: Any) -> Any | None:
    """Return what is to be fed in the place of an object of h5py, zarr, pyarrow or datasets.

    Returns
    -------
    RowReader, another source, or None
        None: it is no such object.

    Raises
    ------
    SourceError
        If workers could not read it, or its items are no samples.
    """
    if is_a(source, "h5py", "Group"):  # a file is one too
        return of_group(source)
    if is_a(source, "zarr", "Group"):
        return of_node(source)
    if is_a(source, "pyarrow", "Table") or is_a(source, "pyarrow", "RecordBatch"):
        return arrow(source)
    if is_a(source, "datasets.arrow_dataset", "Dataset"):
        return of_dataset(source)
    if isinstance(source, dict) and type(source).__module__ == "datasets.dataset_dict":
        raise SourceError(
            f"The {type(source).__name__} holds one dataset for each split. Choose one of "
            f"{list(source)}, for example dataset[{next(iter(source), 'train')!r}]."
        )
    if not is_a(source, "datasets.arrow_dataset", "Column"):  # one alone is a list of samples
        refuse_columns(source)
    if is_tree_with_files(source):
        return ColumnReader(map_leaves(column_of, source))
    return None


FRAME = "Pass its columns as arrays: {name: frame[name].to_numpy() for name in frame.columns}."
COLUMN = "Pass the table with fastfeed.files.arrow(table, columns), or column.to_numpy()."
DATASET = "Pass the dataset, with the columns wanted: dataset.select_columns([...])."
ARCHIVE = "Pass its path: fastfeed.files.npz(path, keys)."
CURES = {
    ("pandas", "DataFrame"): FRAME,
    ("polars", "DataFrame"): FRAME,
    ("pyarrow", "ChunkedArray"): COLUMN,
    ("pyarrow", "Array"): COLUMN,
    ("datasets.arrow_dataset", "Column"): DATASET,
    ("numpy.lib.npyio", "NpzFile"): ARCHIVE,
}
"""What has a length and items that are no samples, and how it is fed."""


def refuse_columns(source: Any) -> None:
    """Refuse an object whose items are columns or single values, also in a tuple or dict.

    Raises
    ------
    SourceError
        With what to pass in its place.
    """
    known = tuple(kind for kind in (class_of(*name) for name in CURES) if kind)
    for value in leaves(source) if isinstance(source, (tuple, dict)) else [source]:
        if isinstance(value, known):
            module, name = next(names for names in CURES if is_a(value, *names))
            raise SourceError(
                f"The items of a {module}.{name} are no samples. {CURES[module, name]}"
            )


def is_a(value: Any, module: str, name: str) -> bool:
    """Tell whether a value is an object of a library's class."""
    kind = class_of(module, name)
    return kind is not None and isinstance(value, kind)


def class_of(module: str, name: str) -> type | None:
    """Return a library's class; None if the library is not imported."""
    kind = getattr(sys.modules.get(module), name, None)
    return kind if isinstance(kind, type) else None


def is_tree_with_files(source: Any) -> bool:
    """Tell whether it is an array in a file, or a tuple or dict of arrays of which one is."""
    if sys.modules.keys().isdisjoint({"h5py", "zarr"}):
        return False
    found = list(leaves(source)) if isinstance(source, (tuple, dict)) else [source]
    in_files = [is_in_a_file(leaf) for leaf in found]
    return any(in_files) and all(map(is_array_like, found, in_files))


def is_in_a_file(value: Any) -> bool:
    """Tell whether a value is an array that a library reads from a file."""
    return is_a(value, "h5py", "Dataset") or is_a(value, "zarr", "Array")


def is_array_like(value: Any, in_a_file: bool) -> bool:
    """Tell whether a value can be a column; a dataset that is closed cannot tell its shape."""
    return in_a_file or hasattr(value, "shape")


def column_of(value: Tree) -> Column:
    """Return the column for one array of a tree."""
    if is_a(value, "h5py", "Dataset"):
        return HDF5Column(value)
    return ZarrColumn(value) if is_a(value, "zarr", "Array") else ArrayColumn(value)
