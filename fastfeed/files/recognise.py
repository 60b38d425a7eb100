"""Objects of the formats' own libraries that are passed to `Loader` as they are.

No library is imported for that: an object of one can only be there if it is imported already.
"""

from __future__ import annotations

import sys
from typing import Any

from fastfeed.errors import SourceError
from fastfeed.files.arrow_tables import of_table
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
        If workers could not read it.
    """
    if is_a(source, "h5py", "Group"):  # a file is one too
        return of_group(source)
    if is_a(source, "zarr", "Group"):
        return of_node(source)
    if is_a(source, "pyarrow", "Table"):
        return of_table(source)
    if is_a(source, "datasets.arrow_dataset", "Dataset"):
        return of_dataset(source)
    if is_a(source, "datasets.dataset_dict", "DatasetDict"):
        raise SourceError(
            f"A DatasetDict holds one dataset for each split. Choose one of {list(source)}, for "
            f"example dataset[{next(iter(source), 'train')!r}]."
        )
    if is_tree_with_files(source):
        return ColumnReader(map_leaves(column_of, source))
    return None


def is_a(value: Any, module: str, name: str) -> bool:
    """Tell whether a value is an object of a library's class."""
    kind = getattr(sys.modules.get(module), name, None)
    return isinstance(kind, type) and isinstance(value, kind)


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
