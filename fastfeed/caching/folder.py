"""The folder of a cache on disk: an LMDB database that says what it was made of.

LMDB serves readers without locks and one writer at a time, from any number of processes, and a
process that is killed leaves what was committed before. A folder is used on one machine at a time.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

from fastfeed.errors import CacheError
from fastfeed.packages import library

FORMAT = 1
"""Of the entries; goes up whenever older ones could not be read."""
ABOUT = b"about"
MAP_BYTES = 1 << 40
"""Addresses, not bytes: no process ever has to map a grown file anew, under others' arrays."""
READERS = 1024
DATA, LOCK = FILES = "data.mdb", "lock.mdb"
LOCK_BYTES = 128 << 10
"""Of the lock file: more than so many readers need."""


class Environments:
    """The databases that this process has open: LMDB allows each of them once.

    They go by their files: a folder that was deleted and made anew holds another one.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[Any, tuple[Any, int]] = {}

    def open(self, folder: str) -> Any:
        """Return an environment; each `open` needs a `close`."""
        with self._lock:
            environment, users = self._open.get(identity(folder), (None, 0))
            if environment is None:
                environment = open_database(folder)
            self._open[identity(folder)] = environment, users + 1
            return environment

    def close(self, environment: Any) -> None:
        """Close it with its last user."""
        with self._lock:
            (file,) = (file for file, (each, _) in self._open.items() if each is environment)
            users = self._open.pop(file)[1] - 1
            if users:
                self._open[file] = environment, users
            else:
                environment.close()


environments = Environments()


def identity(folder: str) -> tuple[int, int] | None:
    """Return what tells the database in a folder from one that comes to be there later; None:
    there is none.
    """
    try:
        status = os.stat(os.path.join(folder, DATA))
    except OSError:
        return None
    return status.st_dev, status.st_ino


def open_database(folder: str) -> Any:
    """Open an LMDB database, or make one. What was not written to the disk yet when the machine
    lost its power is missing afterwards; nothing is damaged.
    """
    allocate_lock_file(os.path.join(folder, LOCK))
    environment = import_lmdb().open(
        folder, map_size=MAP_BYTES, max_readers=READERS, metasync=False, max_spare_txns=16
    )
    environment.reader_check()  # places of processes that were killed
    return environment


def allocate_lock_file(path: str) -> None:
    """Give the lock file all its blocks. LMDB writes to it through memory: where a full disk has
    none for a page, the process would be ended.

    Never while this process has the database open: to close a file gives up the process's locks on
    it, and with them its places among the readers. The size of a file in use stays as it is.

    Raises
    ------
    OSError
        The disk is full.
    """
    with open(path, "ab") as file:
        size = os.fstat(file.fileno()).st_size or LOCK_BYTES
        os.posix_fallocate(file.fileno(), 0, size)


def import_lmdb() -> Any:
    """Import lmdb.

    Raises
    ------
    LibraryMissing
        If it is not installed.
    """
    return library("lmdb", 'A cache on disk (cache="memory" does without)', "'fastfeed[cache]'")


def prepare(path: str, fingerprint: str, n_items: int) -> str:
    """Make the folder, or look at what is there; return its absolute path.

    Raises
    ------
    CacheError
        If the folder cannot be used, or the cache in it was made of something else.
    """
    lmdb = import_lmdb()
    folder = str(Path(path).expanduser().resolve())
    about = {"format": FORMAT, "items": n_items, "fingerprint": fingerprint}
    is_new = not os.path.lexists(folder)
    try:
        make_folder(folder)
        claim(folder, about)
    except CacheError:
        raise
    except (OSError, lmdb.Error) as error:
        if is_new:
            remove(folder)
        raise cannot_be_opened(folder, error) from error
    return folder


def cannot_be_opened(folder: str, error: Exception) -> CacheError:
    """Return the error for a folder that cannot be used, or not any more."""
    or_delete = f", or delete {folder} if it is damaged" if os.path.isdir(folder) else ""
    return CacheError(
        f"The cache in {folder} cannot be opened: {error}. Give a folder on a local disk that may "
        f'be written to and has room (cache="disk:FOLDER"){or_delete}.'
    )


def damaged(folder: str, row: int, error: Exception) -> CacheError:
    """Return the error for a sample that cannot be read again."""
    return CacheError(
        f"Sample {row} cannot be read from the cache in {folder} ({type(error).__name__}: "
        f"{error}). The file is damaged (cut off, or changed by something else), or the code that "
        "its objects need has gone. Delete the folder: the cache is made anew."
    )


def make_folder(folder: str) -> None:
    """Make the folder, unless it is there and ours."""
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise CacheError(f"{folder} is a file. A cache needs a folder of its own: give another.")
    os.makedirs(folder, exist_ok=True)
    others = sorted(set(os.listdir(folder)).difference(FILES))
    if others:
        raise CacheError(
            f"{folder} holds other files ({others[0]!r} is one of {len(others)}). A cache needs a "
            "folder of its own: give one that is new or empty."
        )


def claim(folder: str, about: dict[str, Any]) -> None:
    """Write down what a new cache is of, or compare. Of two jobs at once one writes."""
    environment = environments.open(folder)
    try:
        with environment.begin(write=True) as transaction:
            restore_length(folder, environment)
            found = transaction.get(ABOUT)
            if found is None:
                transaction.put(ABOUT, json.dumps(about).encode())
    finally:
        environments.close(environment)
    if found is not None:
        compare(folder, json.loads(found), about)


def restore_length(folder: str, environment: Any) -> None:
    """Give a file that was cut off its length again, of zeros, which nobody takes for samples. What
    is missing behind the end of a mapped file ends the process that looks at it.

    Only while nobody else writes, or this would cut off what they add.
    """
    path = os.path.join(folder, DATA)
    needed = file_bytes(environment)
    if os.path.getsize(path) < needed:
        os.truncate(path, needed)


def compare(folder: str, found: dict[str, Any], about: dict[str, Any]) -> None:
    """Refuse a cache that was made of something else.

    Raises
    ------
    CacheError
        Saying what differs.
    """
    words = {"format": "format", "items": "number of samples", "fingerprint": "fingerprint"}
    differ = [
        f"its {word} is {found.get(name)!r}, not {about[name]!r}"
        for name, word in words.items()
        if found.get(name) != about[name]
    ]
    if differ:
        raise CacheError(
            f"The cache in {folder} is of another source, or of this one before it changed: "
            f"{'; '.join(differ)}. Give each source a folder of its own, or delete this one."
        )


def file_bytes(environment: Any) -> int:
    """Bytes of the file that are in use, or were."""
    return int(environment.stat()["psize"] * (environment.info()["last_pgno"] + 1))


def disk_bytes(folder: str) -> tuple[int, int]:
    """Return the bytes that are free for us, and all there are, on the disk of a folder."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize


def remove(folder: str) -> None:
    """Take away what was begun in a new folder."""
    try:
        for name in set(os.listdir(folder)).intersection(FILES):
            os.unlink(os.path.join(folder, name))
        os.rmdir(folder)
    except OSError:  # it was never made, or somebody else uses it
        pass
