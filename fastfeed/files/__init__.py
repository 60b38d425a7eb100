"""Files as sources: each function returns something that `fastfeed.Loader` feeds.

>>> import fastfeed
>>> source = fastfeed.files.hdf5("train.h5", ("images", "labels"))  # doctest: +SKIP
>>> with fastfeed.Loader(source, batch_size=32, shuffle=True) as loader:  # doctest: +SKIP
...     for images, labels in loader:
...         step(images, labels)

The library of a format is imported when its function is called.
"""

from fastfeed.errors import LibraryMissing
from fastfeed.files.arrow_tables import arrow
from fastfeed.files.directory import folder
from fastfeed.files.hdf5_files import hdf5
from fastfeed.files.numpy_files import npy, npz
from fastfeed.files.parquet_files import parquet
from fastfeed.files.tar_shards import webdataset
from fastfeed.files.zarr_stores import zarr

__all__ = [
    "LibraryMissing",
    "arrow",
    "folder",
    "hdf5",
    "npy",
    "npz",
    "parquet",
    "webdataset",
    "zarr",
]
