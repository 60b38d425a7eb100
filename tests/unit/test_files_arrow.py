"""Arrow tables and files, and Parquet files."""

from __future__ import annotations

import datetime
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
from unit_files import ORDERS, read, read_here
from unit_sources import fed, same

from fastfeed.errors import ArgumentError, SourceError
from fastfeed.files import arrow, parquet
from fastfeed.files.parquet_files import ParquetReader, RowGroups
from fastfeed.files.recognise import reader_of

X = np.arange(10, dtype="float32")
WIDE = np.arange(30, dtype="int16").reshape(10, 3)
DEEP = np.arange(60, dtype="float64").reshape(10, 3, 2)
DAYS = np.arange("2026-01-01", "2026-01-11", dtype="datetime64[D]")
EXPECTED = {"x": X, "flag": X > 4, "fixed": WIDE, "list": WIDE, "deep": DEEP, "day": DAYS}


def table() -> pa.Table:
    """Ten rows of each kind of column."""
    fixed = pa.FixedSizeListArray.from_arrays(pa.array(WIDE.ravel()), 3)
    lists = pa.array(WIDE.tolist(), pa.list_(pa.int16()))
    deep = pa.array(DEEP.tolist(), pa.large_list(pa.list_(pa.float64(), 2)))
    columns = [X, X > 4, fixed, lists, deep, pa.array(DAYS)]
    return pa.table(dict(zip(EXPECTED, columns, strict=True)))


def in_pieces() -> pa.Table:
    """The same rows, in chunks that begin in the middle of their memory; one is empty."""
    whole = table()
    return pa.concat_tables([whole.slice(0, 4), whole.slice(4, 0), whole.slice(4, 1), whole[5:]])


def write_stream(table: pa.Table, path: Path) -> None:
    with pa.ipc.new_stream(path, table.schema) as file:
        file.write_table(table)


def write_file(table: pa.Table, path: Path) -> None:
    with pa.ipc.new_file(path, table.schema) as file:
        file.write_table(table)


def write_compressed(table: pa.Table, path: Path) -> None:
    pyarrow.feather.write_feather(table, str(path), compression="zstd")


def write_parquet(table: pa.Table, path: Path) -> None:
    pyarrow.parquet.write_table(table, path, row_group_size=3)


Write = Callable[[pa.Table, Path], None]
FORMATS: list[tuple[Write, Any]] = [
    (write_stream, arrow),
    (write_file, arrow),
    (write_compressed, arrow),
    (write_parquet, parquet),
]
each_format = pytest.mark.parametrize(("write", "read_file"), FORMATS)


@pytest.mark.parametrize("index", ORDERS)
@pytest.mark.parametrize("make", [table, in_pieces])
@each_format
def test_rows_in_any_order(
    tmp_path: Path, write: Write, read_file: Any, make: Any, index: list[int]
) -> None:
    write(make(), tmp_path / "a")
    expected = {name: array[index] for name, array in EXPECTED.items()}
    assert same(read(read_file(tmp_path / "a"), index), expected)


@pytest.mark.parametrize("make", [table, in_pieces])
def test_a_table_in_memory_is_arrays(make: Any) -> None:
    assert same(arrow(make()), EXPECTED)
    assert same(reader_of(make()), EXPECTED)
    given = fed(arrow(make(), ("x", "fixed")), batch_size=4)
    assert same(given[2], (X[8:], WIDE[8:]))


def test_numbers_in_one_piece_are_not_copied() -> None:
    numbers = pa.array(X)
    fixed = pa.FixedSizeListArray.from_arrays(pa.array(WIDE.ravel()), 3)
    found = arrow(pa.table({"x": numbers, "fixed": fixed}))
    assert np.shares_memory(found["x"], numbers.to_numpy())
    assert np.shares_memory(found["fixed"], fixed.flatten().to_numpy())


def test_tensors_keep_their_shape() -> None:
    tensors = pa.FixedShapeTensorArray.from_numpy_ndarray(DEEP)
    assert same(arrow(pa.table({"t": tensors}), "t"), DEEP)
    assert same(arrow(pa.table({"t": tensors})[3:7], "t"), DEEP[3:7])


@each_format
def test_columns_say_which_in_what_structure(tmp_path: Path, write: Write, read_file: Any) -> None:
    write(table(), tmp_path / "a")
    rows = [4, 2]
    assert same(read(read_file(tmp_path / "a", "x"), rows), X[rows])
    assert same(read(read_file(tmp_path / "a", ("x", "x")), rows), (X[rows], X[rows]))
    assert same(read(read_file(tmp_path / "a", ["list"]), rows), {"list": WIDE[rows]})
    found = read(read_file(tmp_path / "a", {"image": "fixed", "label": "flag"}), rows)
    assert same(found, {"image": WIDE[rows], "label": EXPECTED["flag"][rows]})
    with pytest.raises(SourceError, match=r"has no 'y'\. It has: x, flag, fixed, "):
        read_file(tmp_path / "a", "y")


def read_all(reader: Any) -> Any:
    """The first row, which decodes the first row group, and the last."""
    return read(reader, [0, reader.n_samples - 1])


BAD_COLUMNS = [
    (["a"] * 10, r"'c' is of the type string.*columns=.*dictionary_encode.*datasets"),
    ([{"a": 1}] * 10, r"'c' is of the type struct"),
    ([None] * 10, r"'c' is of the type null"),
    ([[None]] * 10, r"'c' is of the type list<.*null"),
    ([[["a"]]] * 10, r"'c' is of the type list<.*string"),
    ([datetime.time(1)] * 10, r"'c' is of the type time"),
    ([1.5] * 9 + [None], r"'c' has missing values \(null\).*fill_null"),
    ([[1, 2]] * 9 + [[1, None]], r"'c' has missing values"),
    ([[1, 2]] * 9 + [None], r"'c' has missing values"),
    ([[1, 2]] * 9 + [[1]], r"'c' holds lists of .*Pad"),
    ([[1, 2]] * 5 + [[1]] * 5, r"'c' holds lists of .*Pad"),
]


@pytest.mark.parametrize(("values", "words"), BAD_COLUMNS)
@each_format
def test_columns_that_cannot_be_a_batch(
    tmp_path: Path, write: Write, read_file: Any, values: Any, words: str
) -> None:
    bad = pa.table({"x": X, "c": values})
    bad = pa.concat_tables([bad[:5], bad[5:]])
    write(bad, tmp_path / "a")
    with pytest.raises(SourceError, match=words):
        read_all(read_file(tmp_path / "a"))
    assert same(read(read_file(tmp_path / "a", "x"), [3]), X[[3]])


@pytest.mark.parametrize(("values", "words"), BAD_COLUMNS)
def test_columns_of_tables_in_memory_that_cannot_be_a_batch(values: Any, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        fed(arrow(pa.table({"c": values})), batch_size=2)


def test_what_the_error_proposes_makes_numbers() -> None:
    names = pa.chunked_array([["b", "a", "b"], ["c"]])
    for column in (names, names.dictionary_encode()):
        with pytest.raises(
            SourceError, match=r"column\.dictionary_encode\(\)\.combine_chunks\(\)\.i"
        ):
            arrow(pa.table({"c": column}))
        codes = column.dictionary_encode().combine_chunks().indices
        (batch,) = fed(pa.table({"c": codes}), batch_size=4, workers=0)
        assert batch["c"].tolist() == [0, 1, 0, 2]


def test_a_record_batch_is_a_table() -> None:
    rows = table().combine_chunks().to_batches()[0]
    (batch,) = fed(rows, batch_size=10, workers=0)
    assert same(batch, EXPECTED)
    assert same(arrow(rows, "x"), X)


@pytest.mark.parametrize("wrong", [[1], None, {"x": X}], ids=["list", "None", "dict"])
def test_what_is_neither_a_table_nor_a_path(wrong: Any) -> None:
    with pytest.raises(ArgumentError, match=r"path of one file.*Received: a "):
        arrow(wrong)


@each_format
def test_files_that_cannot_be_read(tmp_path: Path, write: Write, read_file: Any) -> None:
    path = tmp_path / "a"
    with pytest.raises(SourceError, match=r"There is no .*/a\."):
        read_file(path)
    path.write_text("no table")
    with pytest.raises(SourceError, match=r"/a is no (Parquet|Arrow) "):
        read_file(path)
    path.write_bytes(b"")
    with pytest.raises(SourceError, match=r"/a is no (Parquet|Arrow) "):
        read_file(path)
    write(table()[:0], path)
    with pytest.raises(SourceError, match="has no rows"):
        read_file(path)
    with pytest.raises(SourceError, match=r"folder|no Arrow"):
        read_file(tmp_path)


def test_a_large_compressed_file_is_said_to_be_in_each_worker(tmp_path: Path) -> None:
    large = pa.table({"x": np.zeros(1 << 18)})
    write_file(large, tmp_path / "mapped")
    write_compressed(large, tmp_path / "compressed")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        arrow(tmp_path / "mapped")
    with pytest.warns(UserWarning, match=r"is compressed.*2\.0 MiB.*uncompressed") as told:
        arrow(tmp_path / "compressed")
    assert told[0].filename == __file__


def test_several_parquet_files_are_one(tmp_path: Path) -> None:
    for number, (first, last) in enumerate([(0, 4), (4, 4), (4, 10)]):
        write_parquet(table()[first:last], tmp_path / f"{number}.parquet")
    reader = parquet(sorted(tmp_path.glob("*.parquet")), ("x", "deep"))
    assert len(reader) == 10  # type: ignore[arg-type]
    for index in ORDERS:
        assert same(read(reader, index), (X[index], DEEP[index]))


def test_parquet_files_that_differ(tmp_path: Path) -> None:
    write_parquet(table(), tmp_path / "a")
    write_parquet(table().drop_columns("x"), tmp_path / "b")
    write_parquet(pa.table({"x": X.astype("f8")}), tmp_path / "c")
    paths = [tmp_path / name for name in "ab"]
    with pytest.raises(SourceError, match=r"'x' is float in .*/a, but missing in .*/b"):
        parquet(paths, "x")
    assert same(read(parquet(paths, "fixed"), [12]), WIDE[[2]])
    with pytest.raises(SourceError, match=r"'x' is float in .*/a, but double in .*/c"):
        parquet([tmp_path / "a", tmp_path / "c"], "x")
    with pytest.raises(SourceError, match="one path at least"):
        parquet([])


@pytest.mark.parametrize("keep_bytes", [None, -1, "1 GB"])
def test_bytes_to_be_kept_that_are_no_number(tmp_path: Path, keep_bytes: Any) -> None:
    write_parquet(table(), tmp_path / "a")
    with pytest.raises(
        ArgumentError, match=rf"number of bytes.*Received: keep_bytes={keep_bytes!r}"
    ):
        parquet(tmp_path / "a", keep_bytes=keep_bytes)


def test_an_error_says_which_row_group_was_being_read(tmp_path: Path) -> None:
    paths = [tmp_path / "a", tmp_path / "b"]
    for path, last in zip(paths, (1.0, None), strict=True):
        pyarrow.parquet.write_table(pa.table({"x": [0.0, 1, 2, last]}), path, row_group_size=2)
    with pytest.raises(SourceError, match="missing values") as caught:
        read(parquet(paths), [7])
    assert caught.value.__notes__ == [f"Row group 1 of {paths[1]} was being read."]
    with paths[0].open("rb") as file, pytest.raises(ArgumentError, match="a BufferedReader"):
        parquet(file)


def test_row_groups_are_decoded_once_while_they_fit_in(tmp_path: Path) -> None:
    write_parquet(table(), tmp_path / "a")
    decoded: list[int] = []

    class Counting(ParquetReader):
        def _decode(self, part: int) -> Any:
            decoded.append(part)
            return super()._decode(part)

    for keep_bytes, expected in [(1 << 20, [0, 3]), (0, [0, 3, 0, 3])]:
        reader = Counting([str(tmp_path / "a")], "x", keep_bytes)
        reader.open()
        for _ in range(2):
            assert same(read_here(reader, np.array([9, 0])), X[[9, 0]])
        assert decoded == expected
        decoded.clear()


def test_row_groups_not_used_for_the_longest_time_go_first() -> None:
    groups = RowGroups(limit_bytes=20)
    decoded: list[int] = []

    def decode(part: int) -> dict[str, np.ndarray]:
        decoded.append(part)
        return {"x": np.zeros(10, "u1")}

    for part in [0, 1, 0, 2, 0, 1]:
        groups.get(part, decode)
    assert decoded == [0, 1, 2, 1]


@each_format
def test_the_fingerprint_is_of_the_file_and_the_columns(
    tmp_path: Path, write: Write, read_file: Any
) -> None:
    write(table(), tmp_path / "a")
    first = read_file(tmp_path / "a", "x").fingerprint()
    assert read_file(tmp_path / "a", "x").fingerprint() == first
    assert read_file(tmp_path / "a", "flag").fingerprint() != first
    write(table()[1:], tmp_path / "a")
    assert read_file(tmp_path / "a", "x").fingerprint() != first


@each_format
def test_a_file_that_was_written_meanwhile_is_not_read(
    tmp_path: Path, write: Write, read_file: Any
) -> None:
    write(table(), tmp_path / "a")
    reader = read_file(tmp_path / "a")
    write(table()[5:], tmp_path / "a")
    with pytest.raises(SourceError, match=r"/a was written or removed after.*anew"):
        read(reader, [0])
    (tmp_path / "a").unlink()
    with pytest.raises(SourceError, match=r"/a was written or removed after"):
        read(reader, [0])
