"""Maps of .npy and .npz files."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from unit_sources import fed, same

from fastfeed.errors import ArgumentError, SourceError
from fastfeed.files import npy, npz
from fastfeed.sources.arrays import contiguous

X = np.arange(60, dtype="float32").reshape(20, 3)
Y = np.arange(20, dtype="int16")


def test_batches_of_a_map_equal_the_array(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    mapped = npy(tmp_path / "x.npy")
    given = fed(mapped, batch_size=8, shuffle=True)
    assert len(given) == 3
    rows = np.concatenate(given)
    assert not np.array_equal(rows, X)
    assert same(rows[np.argsort(rows[:, 0])], X)


def test_a_tree_of_paths_gives_a_tree_of_maps(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", Y)
    mapped = npy({"image": tmp_path / "x.npy", "label": str(tmp_path / "y.npy")})
    (batch,) = fed(mapped, batch_size=20)
    assert same(batch, {"image": X, "label": Y})


def test_the_loader_reads_the_mapped_file_itself(tmp_path: Path) -> None:
    """A copy would not see what is written to the file afterwards."""
    np.save(tmp_path / "x.npy", X)
    source = contiguous(npy(tmp_path / "x.npy"))
    np.load(tmp_path / "x.npy", mmap_mode="r+")[4] = 100
    assert source[4].tolist() == [100, 100, 100]


def test_a_map_can_not_be_written_to(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    np.savez(tmp_path / "x.npz", x=X)
    for mapped in (npy(tmp_path / "x.npy"), npz(tmp_path / "x.npz", "x")):
        with pytest.raises(ValueError, match="read-only"):
            mapped[0] = 1


@pytest.mark.parametrize("array", [X, Y, np.float64([[[1]]]), np.array(["a", "bc"]), X > 4])
def test_members_that_are_stored_are_mapped_where_they_lie(
    tmp_path: Path, array: np.ndarray
) -> None:
    np.savez(tmp_path / "a.npz", first=np.arange(5), array=array)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = npz(tmp_path / "a.npz")
    assert list(found) == ["first", "array"]
    assert isinstance(found["array"], np.memmap)
    assert same(np.array(found["array"]), array)


def test_a_compressed_member_is_loaded_once_and_said_so(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", x=X, y=Y)
    with pytest.warns(UserWarning, match=r"x, y of .*a\.npz: compressed.*280 bytes.*savez") as told:
        x, y = npz(tmp_path / "a.npz", ("x", "y"))
    assert [warning.filename for warning in told] == [__file__]
    assert same(x, X) and same(y, Y)


def test_a_fortran_member_is_loaded_row_by_row(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.asfortranarray(X))
    with pytest.warns(UserWarning, match="Fortran"):
        x = npz(tmp_path / "a.npz", "x")
    assert x.flags.c_contiguous and same(x, X)


def test_a_file_in_fortran_order_is_refused_with_the_line_that_rewrites_it(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.asfortranarray(X))
    with pytest.raises(SourceError, match=r"Fortran order.*Write it anew") as error:
        npy(tmp_path / "x.npy")
    written = re.search(r"numpy\.save\(.*\)", str(error.value))
    assert written
    line = written[0].rstrip(".").replace("new_path", repr(str(tmp_path / "new.npy")))
    exec(line, {"numpy": np})
    assert same(np.array(npy(tmp_path / "new.npy")), X)


def write_objects(path: Path) -> None:
    np.save(path, np.array([1, "a", None], object), allow_pickle=True)


def write_text(path: Path) -> None:
    path.write_text("no array")


def write_half(path: Path) -> None:
    np.save(path, X)
    path.write_bytes(path.read_bytes()[:100])


def write_archive(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, x=X)


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (write_objects, "holds Python objects.*fixed length"),
        (write_text, "is no file of numpy.save, or it is cut off"),
        (write_half, "is no file of numpy.save, or it is cut off"),
        (write_archive, "use npz"),
        (lambda path: path.write_bytes(b""), "is no file of numpy.save, or it is cut off"),
        (lambda path: np.save(path, 3.0), r"has no rows: its shape is \(\)"),
        (lambda path: None, "There is no .*x.npy"),
    ],
)
def test_bad_npy_files(tmp_path: Path, write: object, words: str) -> None:
    assert callable(write)
    write(tmp_path / "x.npy")
    with pytest.raises(SourceError, match=words):
        npy(tmp_path / "x.npy")


def test_bad_npz_files(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with pytest.raises(SourceError, match=r"There is no .*a\.npz"):
        npz(path)
    np.savez(path, x=X, y=Y)
    with pytest.raises(SourceError, match=r"a\.npz has no 'z'\. It has: x, y\."):
        npz(path, ("x", "z"))
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(SourceError, match=r"no file of numpy\.savez, or it is cut off"):
        npz(path)
    np.savez(path, x=np.array([None]))
    with pytest.raises(SourceError, match="holds Python objects"):
        npz(path)
    np.savez(path)
    with pytest.raises(SourceError, match="no array to choose"):
        npz(path)


def test_arrays_that_differ_in_length_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=X, y=Y[:-1])
    with pytest.raises(SourceError, match="same number of rows"):
        fed(npz(tmp_path / "a.npz"), batch_size=4)


def test_an_empty_array_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X[:0])
    np.savez(tmp_path / "a.npz", x=X, none=X[:0], number=3)
    with pytest.raises(SourceError, match=r"x\.npy has no rows: its shape is \(0, 3\)"):
        npy(tmp_path / "x.npy")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, shape in (("none", r"\(0, 3\)"), ("number", r"\(\)")):
            with pytest.raises(SourceError, match=rf"{name} of .*a\.npz has no rows.*{shape}"):
                npz(tmp_path / "a.npz", ("x", name))


def test_several_files_are_a_tuple_never_a_list(tmp_path: Path) -> None:
    """A list would be taken for samples: each file for one of them."""
    np.save(tmp_path / "x.npy", X)
    with pytest.raises(ArgumentError, match=r"side by side.*concatenate.*Received: a list of 2"):
        npy([tmp_path / "x.npy", tmp_path / "x.npy"])
    with (tmp_path / "x.npy").open("rb") as file:
        for wrong in (file, None):
            with pytest.raises(ArgumentError, match=r"path of one file.*Received: a "):
                npy(wrong)


def test_an_open_archive_is_no_source(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=X)
    with (
        np.load(tmp_path / "a.npz") as archive,
        pytest.raises(SourceError, match=r"NpzFile are no samples.*files\.npz\(path, keys\)"),
    ):
        fed(archive, batch_size=2, workers=0)
