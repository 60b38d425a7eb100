"""The cache on disk: what is wrong with a folder is said, and nothing is left of a failure."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
import pytest
from unit_cache import new_cache

from fastfeed.caching import folder, writing
from fastfeed.caching.base import stamp_of
from fastfeed.caching.disk import key_of
from fastfeed.errors import CacheError, LibraryMissing


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def disk(path: Path, **options: Any) -> Any:
    return new_cache("disk", path, **{"budget": None, **options})


def filled(path: Path, rows: int = 3, **options: Any) -> None:
    cache = disk(path, **options)
    for row in range(rows):
        cache.add(row, np.full(5000, row))
    cache.close()


def script(text: str) -> str:
    """What a process of its own prints."""
    command = [sys.executable, "-c", textwrap.dedent(text)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def refused(path: Path, **options: Any) -> str:
    with pytest.raises(CacheError) as caught:
        disk(path, **options)
    return str(caught.value)


# -- what it was made of --------------------------------------------------------------------


def test_the_next_run_finds_it(path: Path) -> None:
    filled(path)
    cache = disk(path)
    assert [int(cache.find(row)[4999]) for row in range(3)] == [0, 1, 2]
    assert cache.use().samples == 3
    cache.close()


def test_a_cache_of_another_source_is_refused(path: Path) -> None:
    filled(path, of="cats")
    said = refused(path, of="dogs")
    assert "its fingerprint is 'cats', not 'dogs'" in said
    assert str(path) in said
    assert "delete this one" in said
    cache = disk(path, of="cats")  # refusing has changed nothing
    assert cache.use().samples == 3
    cache.close()


def test_a_cache_of_another_length_is_refused(path: Path) -> None:
    filled(path, n_items=100)
    assert "its number of samples is 100, not 99" in refused(path, n_items=99)


def test_a_cache_of_another_version_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(path)
    monkeypatch.setattr(folder, "FORMAT", folder.FORMAT + 1)
    assert f"its format is {folder.FORMAT - 1}, not {folder.FORMAT}" in refused(path)


def test_a_sample_older_than_its_file_is_refused(path: Path, tmp_path: Path) -> None:
    file = tmp_path / "image.jpg"
    file.write_bytes(b"old")
    cache = disk(path)
    cache.add(7, np.arange(3), stamp_of(file))
    cache.close()
    cache = disk(path)
    assert cache.find(7, stamp_of(file)).tolist() == [0, 1, 2]
    status = os.stat(file)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    with pytest.raises(CacheError, match=r"older than its files: that of sample 7.*Delete"):
        cache.find(7, stamp_of(file))
    cache.close()


# -- folders ---------------------------------------------------------------------------------


def test_a_file_is_no_folder(path: Path) -> None:
    path.write_text("mine")
    assert "is a file" in refused(path)
    assert "Not a directory" in refused(path / "below")
    assert path.read_text() == "mine"


def test_a_folder_with_other_files_is_left_alone(path: Path) -> None:
    path.mkdir()
    (path / "photo.jpg").write_text("mine")
    assert "'photo.jpg' is one of 1" in refused(path)
    assert os.listdir(path) == ["photo.jpg"]


@pytest.mark.parametrize("content", [b"hello" * 3000, b"x"])
def test_a_damaged_file_is_named(path: Path, content: bytes) -> None:
    path.mkdir()
    (path / "data.mdb").write_bytes(content)
    said = refused(path)
    assert "cannot be opened" in said
    assert f"delete {path}" in said
    assert (path / "data.mdb").read_bytes() == content


def test_a_file_that_was_cut_off_is_named_and_ends_nobody(path: Path) -> None:
    """To look behind the end of a mapped file is SIGBUS, so this is a process of its own."""
    filled(path, rows=40)
    size = (path / "data.mdb").stat().st_size
    said = script(
        f"""
        import os
        from fastfeed.caching.disk import DiskCache
        from fastfeed.errors import CacheError
        for pages in range({size} // 4096, 1, -20):
            os.truncate({str(path / "data.mdb")!r}, pages * 4096)
            try:
                cache = DiskCache({str(path)!r}, 100, "data")
                found = [int(cache.find(row)[-1]) for row in range(40)]
                print("whole" if found == list(range(40)) else found)
                cache.close()
            except CacheError as error:
                print(error)
        """
    ).splitlines()
    assert said[0] == "whole"
    assert len(said) > 10
    for line in said[1:]:
        assert "damaged" in line
        assert "elete" in line


def test_a_sample_that_cannot_be_read_is_named(path: Path) -> None:
    filled(path)
    with lmdb.open(str(path)) as environment, environment.begin(write=True) as transaction:
        value = transaction.get(key_of(1))
        transaction.put(key_of(1), value[:-20] + bytes(20))  # of the note, which stands at the end
        transaction.put(key_of(2), b"short")
    cache = disk(path)
    assert cache.find(0)[0] == 0
    for row in (1, 2):
        with pytest.raises(CacheError, match=rf"Sample {row} cannot .* damaged .* Delete"):
            cache.find(row)
    with pytest.raises(CacheError, match="Sample 2 cannot be read"):
        cache.gather(np.array([0, 2]), np.empty((2, 5000), int))
    cache.close()


def test_a_folder_that_was_deleted_and_made_anew_is_another(path: Path) -> None:
    old = disk(path)
    old.add(1, np.arange(3))
    to_workers = pickle.dumps(old)
    shutil.rmtree(path)
    with pytest.raises(CacheError, match=r"deleted or replaced .* Make a new Loader"):
        pickle.loads(to_workers).adopt([])
    new = disk(path, of="other data")
    assert new.find(1) is None
    with pytest.raises(CacheError, match=r"deleted or replaced .* Make a new Loader"):
        pickle.loads(to_workers).adopt([])
    new.add(1, np.arange(4))
    for cache in (old, new):
        cache.close()
    new = disk(path, of="other data")
    assert new.find(1).tolist() == [0, 1, 2, 3]
    new.close()


def test_a_folder_that_is_deleted_holds_nobody_up(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "PENDING_BYTES", 1)
    cache = disk(path)
    shutil.rmtree(path)
    with pytest.warns(RuntimeWarning, match=r"stops growing at .*No such file .*Training goes on"):
        for row in range(5):
            cache.add(row, np.full(5000, row))
        cache.close()
    assert not path.exists()


def test_an_empty_folder_and_one_in_folders_that_do_not_exist_will_do(path: Path) -> None:
    path.mkdir()
    filled(path)
    filled(path / ".." / "a" / "b")


def test_a_path_is_the_same_from_any_folder(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(path))
    filled(Path("~") / "c")
    assert (path / "c" / "data.mdb").exists()
    path.joinpath("here").mkdir()
    monkeypatch.chdir(path / "here")
    cache = disk(Path("../c"))
    assert cache.use().samples == 3
    cache.close()


def test_without_permission_nothing_is_left(tmp_path: Path) -> None:
    """As root everything is allowed, so this runs as somebody else."""
    os.chmod(tmp_path, 0o755)
    said = script(
        f"""
        import os
        import lmdb
        from fastfeed.caching.disk import DiskCache
        from fastfeed.errors import CacheError
        os.setuid(65534) if os.getuid() == 0 else os.chmod({str(tmp_path)!r}, 0o555)
        try:
            DiskCache({str(tmp_path / "cache")!r}, 10, "data")
        except CacheError as error:
            print(error)
        """
    )
    assert "cannot be opened" in said
    assert "Permission denied" in said
    assert "may be written to" in said
    assert os.listdir(tmp_path) == []


def test_a_folder_that_cannot_be_begun_is_taken_away_again(path: Path) -> None:
    said = script(
        f"""
        import resource, signal
        from fastfeed.caching.disk import DiskCache
        from fastfeed.errors import CacheError
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        try:
            DiskCache({str(path)!r}, 10, "data")
        except CacheError as error:
            print(error)
        """
    )
    assert "cannot be opened" in said
    assert not path.exists()


def test_the_lock_file_has_all_its_blocks(path: Path) -> None:
    """Or a disk that has become full would end the process that touches a missing one."""
    filled(path)
    status = (path / "lock.mdb").stat()
    assert status.st_blocks * 512 >= status.st_size > folder.READERS * 64


def test_without_lmdb_it_says_what_to_install(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lmdb", None)
    with pytest.raises(LibraryMissing, match=r"needs lmdb.*pip install 'fastfeed\[cache\]'"):
        disk(path)
    assert not path.exists()


# -- full disks ------------------------------------------------------------------------------


def fill_until_full(path: Path) -> int:
    """Add until it says that it is full; return how many samples the next run finds."""
    cache = disk(path)
    with pytest.warns(RuntimeWarning, match=r"stops growing at .* Training goes on") as said:
        for row in range(60):
            cache.add(row, np.full(20_000, row, np.uint8))
        cache.close()
    assert len(said) == 1
    cache = disk(path)
    found = {row: cache.find(row) for row in range(60)}
    assert all((array == row).all() for row, array in found.items() if array is not None)
    cache.close()
    return sum(array is not None for array in found.values())


def test_a_full_map_ends_growth_only(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(path)
    monkeypatch.setattr(folder, "MAP_BYTES", 300_000)
    assert fill_until_full(path) < 20


def test_room_is_left_to_others(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(path)

    def statvfs(_: Any) -> os.statvfs_result:
        free = 700 - (path / "data.mdb").stat().st_size // 4096  # 500 are for others
        return os.statvfs_result((4096, 4096, 10_000, free, free, 0, 0, 0, 0, 255))

    monkeypatch.setattr(os, "statvfs", statvfs)
    assert 10 < fill_until_full(path) < 40


def test_a_write_that_fails_leaves_whole_samples(path: Path) -> None:
    said = script(
        f"""
        import resource, signal, warnings
        import numpy as np
        from fastfeed.caching.disk import DiskCache
        cache = DiskCache({str(path)!r}, 100, "data")
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            for row in range(60):
                cache.add(row, np.full(50_000, row, np.uint8))
            cache.close()
        print(*(warning.message for warning in said), sep="\\n")
        """
    )
    assert said.count("stops growing") == 1
    assert "Input/output error (the disk has" in said
    cache = disk(path)
    found = [cache.find(row) for row in range(60)]
    assert sum(array is not None for array in found) < 20
    assert all(array is None or (array == row).all() for row, array in enumerate(found))
    cache.close()
    filled(path, rows=60)  # there is room again
    cache = disk(path)
    assert cache.use().samples == 60
    cache.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_warning_that_is_an_error_holds_nobody_up(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "PENDING_BYTES", 1)
    cache = disk(path, budget=100_000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for row in range(5):
            cache.add(row, np.full(5000, row))
        cache.close()
    assert cache.use().samples == 1


# -- what is written -------------------------------------------------------------------------


def test_large_arrays_start_at_multiples_of_a_line(path: Path) -> None:
    filled(path)
    cache = disk(path)
    cache._in_worker = True
    array = cache.find(1)
    assert array.ctypes.data % 64 == 0
    del array
    cache.close()


def test_a_folder_says_what_it_is_of(path: Path) -> None:
    filled(path, of="cats")
    with lmdb.open(str(path), readonly=True) as environment, environment.begin() as transaction:
        about = json.loads(transaction.get(folder.ABOUT))
    assert about == {"format": folder.FORMAT, "items": 100, "fingerprint": "cats"}


def test_one_process_opens_it_twice(path: Path) -> None:
    one, other = disk(path), disk(path)
    one.add(1, np.arange(3))
    one.close()
    assert other.find(1).tolist() == [0, 1, 2]
    other.close()
    other.close()
