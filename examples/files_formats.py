"""The same pictures in each format that fastfeed.files reads: how large, and how fast?

    python examples/files_formats.py [pictures]

Reads them in order and shuffled, with two workers, in batches of 64. What is in the operating
system's cache comes from there, as it does in the second epoch of a training.
"""

import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import zarr

import fastfeed

SHAPE = (64, 64, 3)
CHUNK = (32, *SHAPE)
EPOCHS = 3


def pictures(count):
    """Smooth pictures, which compress about as photographs do; and their numbers."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (count, 8, 8, 3), np.uint8)
    return small.repeat(8, axis=1).repeat(8, axis=2) ^ rng.integers(0, 2, (count, *SHAPE), np.uint8)


def write_npy(path, x):
    np.save(path.with_suffix(".npy"), x)
    return fastfeed.files.npy(path.with_suffix(".npy"))


def write_hdf5(path, x, **options):
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=x, **options)
    return fastfeed.files.hdf5(path, "x")


def write_gzip(path, x):
    return write_hdf5(path, x, chunks=CHUNK, compression="gzip", compression_opts=1)


def write_zarr(path, x):
    zarr.create_array(path, data=x, chunks=CHUNK)
    return fastfeed.files.zarr(path)


def table(x):
    return pa.table({"x": pa.FixedSizeListArray.from_arrays(x.ravel(), x[0].size)})


def write_arrow(path, x):
    pyarrow.feather.write_feather(table(x), str(path), compression="uncompressed")
    return fastfeed.files.arrow(path, "x")


def write_parquet(path, x):
    pyarrow.parquet.write_table(table(x), path, row_group_size=CHUNK[0])
    return fastfeed.files.parquet(path, "x")


FORMATS = {
    "npy": write_npy,
    "HDF5": write_hdf5,
    "HDF5, gzip, chunks of 32": write_gzip,
    "Zarr, zstd, chunks of 32": write_zarr,
    "Arrow": write_arrow,
    "Parquet, row groups of 32": write_parquet,
}


def rate(source, count, shuffle):
    """Return the pictures per second after the first epoch, in which workers start."""
    with fastfeed.Loader(source, batch_size=64, workers=2, shuffle=shuffle) as loader:
        assert sum(len(batch) for batch in loader) == count
        started = time.perf_counter()
        for _ in range(EPOCHS):
            for _ in loader:
                pass
        return EPOCHS * count / (time.perf_counter() - started)


def size_mb(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def main(count):
    x = pictures(count)
    print(f"{count} pictures of {x[0].nbytes / 1e3:.0f} kB")
    print(f"{'format':28}{'MB':>8}{'in order /s':>14}{'shuffled /s':>14}")
    for name, write in FORMATS.items():
        with tempfile.TemporaryDirectory() as folder:
            source = write(Path(folder, "pictures"), x)
            rates = [rate(source, count, shuffle) for shuffle in (False, True)]
            print(f"{name:28}{size_mb(Path(folder)):8.1f}{rates[0]:14,.0f}{rates[1]:14,.0f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 4096)
