"""Pages of a mapping are ready when the first batch is written, slot by slot."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator

import numpy as np
import pytest

import fastfeed
from fastfeed import _core
from fastfeed.errors import CoreError
from fastfeed.workers.child import AT_ONCE

PAGES = 1024
PAGE = os.sysconf("SC_PAGE_SIZE")


class Large:
    """Batches of 2 MB."""

    def __len__(self) -> int:
        return 20

    def __getitem__(self, index: int) -> np.ndarray:
        return np.full(2 << 20, index, np.uint8)


def faults_of_writing(mapping: _core.Mapping, pages: range) -> int:
    """How often the kernel had to look for a page while a byte of each was written."""
    data = np.frombuffer(mapping, np.uint8)
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
    data[pages.start * PAGE : pages.stop * PAGE : PAGE] = 1
    return resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before


@pytest.fixture
def fd() -> Iterator[int]:
    fd = _core.create_memory("test", PAGES * PAGE)
    yield fd
    os.close(fd)


def test_only_what_was_asked_for_is_ready(fd: int) -> None:
    mapping = _core.Mapping(fd, lazily=True)
    half = PAGES // 2
    mapping.populate(half * PAGE, half * PAGE)
    assert faults_of_writing(mapping, range(half, PAGES)) < half // 8
    assert faults_of_writing(mapping, range(half)) >= half // 2


def test_without_being_asked_all_of_it_is(fd: int) -> None:
    assert faults_of_writing(_core.Mapping(fd), range(PAGES)) < PAGES // 8


def test_what_lies_behind_the_end_is_refused(fd: int) -> None:
    mapping = _core.Mapping(fd, lazily=True)
    with pytest.raises(CoreError, match="do not fit"):
        mapping.populate(PAGE, PAGES * PAGE)


def test_slots_that_are_made_ready_one_by_one_hold_what_was_written() -> None:
    with fastfeed.Loader(Large(), workers=2) as loader:
        for _ in range(2):
            for index, batch in enumerate(loader):
                assert (batch == index).all()
        assert loader.stats().slots * loader.stats().slot_bytes > AT_ONCE
