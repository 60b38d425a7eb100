"""A folder of anything."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from unit_sources import fed, same

from fastfeed.errors import ArgumentError, SourceError
from fastfeed.files import folder

VALUES = {"b.npy": 1, "a.npy": 0, "inner/c.npy": 2, "inner/deep/ü.npy": 3}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A folder with arrays, and other things."""
    for name, value in VALUES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        np.save(tmp_path / name, np.full(3, value))
    (tmp_path / "notes.txt").write_text("no array")
    (tmp_path / ".hidden.npy").write_text("no array")
    (tmp_path / "folder.npy").mkdir()
    return tmp_path


def load(path: Path) -> tuple[np.ndarray, str]:
    return np.load(path), path.stem


@pytest.mark.parametrize(
    ("pattern", "names"),
    [("*.npy", ["a", "b"]), ("**/*.npy", ["a", "b", "c", "ü"]), ("inner/*.npy", ["c"])],
)
def test_files_in_the_order_of_their_names(path: Path, pattern: str, names: list[str]) -> None:
    source = folder(path, load, pattern)
    assert len(source) == len(names)
    (batch,) = fed(source, batch_size=8, workers=0)
    assert same(batch, (np.arange(4)[["abcü".index(n) for n in names], None].repeat(3, 1), names))


def test_a_million_names_are_one_array(path: Path) -> None:
    source = folder(path, load)
    source._names = np.array([b"%07d.npy" % number for number in range(1_000_000)])
    buffers: list[pickle.PickleBuffer] = []
    assert len(pickle.dumps(source, 5, buffer_callback=buffers.append)) < 1000
    assert [len(buffer.raw()) for buffer in buffers] == [11_000_000]
    assert source.path(999_999).name == "0999999.npy"


def test_an_error_says_which_file_was_being_loaded(path: Path) -> None:
    (path / "b.npy").write_bytes(b"")
    with pytest.raises(EOFError) as caught:
        fed(folder(path, load, "*.npy"), batch_size=2, workers=0)
    assert f"{path / 'b.npy'} was being loaded." in caught.value.__notes__


def test_arguments_in_the_wrong_order(path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"numpy\.load\).*Received: load='\*\.npy'"):
        folder(path, "*.npy", load)


def test_folders_without_files(path: Path) -> None:
    with pytest.raises(SourceError, match=r"There is no .*none"):
        folder(path / "none", load)
    with pytest.raises(SourceError, match=r"notes\.txt is a file"):
        folder(path / "notes.txt", load)
    with pytest.raises(SourceError, match=r"No file in .* matches '\*\.jpg'.*\*\*/"):
        folder(path, load, "*.jpg")


def test_the_fingerprint_is_of_the_names(path: Path) -> None:
    first = folder(path, load, "*.npy").fingerprint()
    assert folder(path, load, "*.npy").fingerprint() == first
    (path / "b.npy").rename(path / "d.npy")
    assert folder(path, load, "*.npy").fingerprint() != first


def test_a_file_that_was_written_is_told_to_a_cache_on_disk(path: Path) -> None:
    source = folder(path, load, "*.npy")
    before = [source.stamp(index) for index in range(2)]
    assert before == [source.stamp(index) for index in range(2)]
    np.save(path / "b.npy", np.zeros(100))
    assert [source.stamp(index) == before[index] for index in range(2)] == [True, False]
