"""Whether what a cache on disk holds is what the source gives now."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from unit_cache import Counted
from unit_sources import fed

import fastfeed
from fastfeed.caching.base import stamp_of
from fastfeed.errors import CacheError, SourceError


def test_decoded_pictures_are_found_again_whatever_is_done_with_them(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for number in range(6):
        cv2.imwrite(str(tmp_path / f"a/{number}.png"), np.full((20, 20, 3), number * 40, np.uint8))

    def found(size: int = 16, **options: Any) -> int:
        source = fastfeed.images(tmp_path, target_size=(size, size), classes=["a"], **options)
        with fastfeed.Loader(source, workers=0, cache=f"disk:{tmp_path / 'cache'}") as loader:
            before = loader.stats().cache.samples
            list(loader)
        return before

    assert found() == 0
    assert found(horizontal_flip=True, rescale=1 / 255, class_mode=None, batch_size=2) == 6
    for other in ({"size": 8}, {"random_resized_crop": True}, {"color_mode": "grayscale"}):
        with pytest.raises(CacheError, match="is of another source"):
            found(**other)


class Files:
    """Samples that are files, and say when these change."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Any:
        return np.frombuffer(self.paths[index].read_bytes(), np.uint8).copy()

    def fingerprint(self) -> str:
        return " ".join(path.name for path in self.paths)

    def stamp(self, index: int) -> int:
        return stamp_of(self.paths[index])


def test_a_cache_older_than_its_files_is_refused(tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.bin" for i in range(4)]
    for path in paths:
        path.write_bytes(b"old")
    run = functools.partial(
        fed, Files(paths), batch_size=4, workers=0, cache=f"disk:{tmp_path / 'cache'}"
    )
    assert run()[0].tolist() == [list(b"old")] * 4
    paths[2].write_bytes(b"new")
    with pytest.raises(CacheError, match="older than its files: that of sample 2 "):
        run()


class Stamped(Counted):
    """Samples of files of this time."""

    time: Any = 1763758440.25

    def stamp(self, index: int) -> Any:
        return self.time


def test_a_stamp_has_all_the_digits_of_a_time(tmp_path: Path) -> None:
    source = Stamped()
    run = functools.partial(
        fed, source, batch_size=4, workers=0, cache=f"disk:{tmp_path / 'cache'}"
    )
    run()
    source.time += 0.5
    with pytest.raises(CacheError, match="older than its files: that of sample 0 "):
        run()


@pytest.mark.parametrize("stamp", ["2025-11-21", None, float("nan")])
def test_a_stamp_that_is_no_number_is_named(tmp_path: Path, stamp: Any) -> None:
    source = Stamped()
    source.time = stamp
    with pytest.raises(SourceError, match=rf"stamp\(0\) returned {stamp!r}; it returns a number"):
        fed(source, batch_size=4, workers=0, cache=f"disk:{tmp_path / 'cache'}")
