"""How batches lie in slots, and how those that look like the last one get there."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from unit_trees import Pair

from fastfeed._core import Mapping, create_memory
from fastfeed.structure import Layout, Layouts, describe, leaves


def test_a_layout_is_found_again_by_shapes_and_dtypes() -> None:
    layouts = Layouts()
    first, _ = layouts.find({"x": np.zeros(3), "y": (np.ones(2, np.int8),)})
    again, found = layouts.find({"x": np.ones(3), "y": (np.zeros(2, np.int8),)})
    other, _ = layouts.find({"x": np.zeros(3), "y": (np.ones(2, np.uint8),)})
    assert again is first
    assert other is not first
    assert [array.tolist() for array in found] == [[1, 1, 1], [0, 0]]


def test_more_layouts_than_are_remembered_are_still_right() -> None:
    layouts = Layouts()
    for rows in range(Layouts.LIMIT + 10):
        layout, _ = layouts.find(np.zeros(rows))
        assert layout.data_bytes == -(-rows * 8 // 64) * 64


ALIKE: list[Any] = [
    np.arange(6.0).reshape(2, 3),
    (np.arange(3), [np.zeros((2, 0)), np.array(4, np.float32)]),
    {"x": np.arange(5, dtype=np.int8), "y": {"z": np.array(["a", "bcd"])}},
    np.array([1, 2], "M8[s]"),
    np.array([1, 2], ">f4"),
]
OTHERS: list[Any] = [
    *(np.arange(6.0).reshape(3, 2), np.arange(6.0, dtype=np.float32).reshape(2, 3), "text", None),
    *(np.arange(12.0).reshape(2, 6)[:, ::2], np.ma.masked_array(np.zeros((2, 3))), 5, []),
    *((np.arange(3), [np.zeros((2, 0))]), (np.arange(3), (np.zeros((2, 0)), np.zeros(())))),
    [np.arange(3), [np.zeros((2, 0)), np.zeros((), np.float32)]],
    {"y": {"z": np.array(["a", "bcd"])}, "x": np.arange(5, dtype=np.int8)},
    {"x": np.arange(5, dtype=np.int8), "y": {"z": np.array(["a", "bcde"])}},
    Pair(np.arange(3), [np.zeros((2, 0)), np.zeros((), np.float32)]),
    np.array([1, 2], "M8[D]"),
    np.array([1, 2], "<f4"),
]


def mapping(size: int) -> Mapping:
    fd = create_memory("fastfeed-test", size)
    try:
        return Mapping(fd)
    finally:
        os.close(fd)


@pytest.mark.parametrize("batch", ALIKE, ids=describe)
def test_a_batch_that_looks_like_the_last_is_written_by_its_pattern(batch: Any) -> None:
    layouts, memory = Layouts(), mapping(4096)
    layout, arrays = layouts.find(batch)
    assert layouts.pattern is not None
    assert layouts.pattern.data_bytes == layout.data_bytes
    assert layouts.pattern.note_bytes == len(layout.note)
    size = layout.data_bytes + len(layout.note)
    assert not layouts.pattern.write(memory, 64, 64 + size - 1, batch)
    assert not layouts.pattern.write(memory, 64, 0, batch)
    assert bytes(memory) == bytes(4096)
    assert layouts.pattern.write(memory, 64, 64 + size, batch)
    views = list(leaves(layout.views(memory, 64)))
    assert [view.tolist() for view in views] == [array.tolist() for array in arrays]
    assert bytes(memory)[64 + layout.data_bytes : 64 + size] == layout.note
    assert not any(bytes(memory)[64 + size :])
    for other in [*OTHERS, *(one for one in ALIKE if one is not batch)]:
        assert not layouts.pattern.write(memory, 0, 4096, other)


def test_a_pattern_of_a_named_tuple_fits_nothing() -> None:
    layouts = Layouts()
    for pair in (Pair(np.zeros(3), np.ones(2)), Pair(np.zeros(3), np.zeros(2))):
        layouts.find(pair)
        assert layouts.pattern is not None
        for other in (pair, np.zeros(3), (np.zeros(3), np.ones(2))):
            assert not layouts.pattern.write(mapping(4096), 0, 4096, other)


def test_objects_have_no_pattern() -> None:
    layouts = Layouts()
    layouts.find((np.zeros(3), "text"))
    assert layouts.pattern is None


def test_fewer_rows_lie_at_the_same_places() -> None:
    layout = Layout.of((np.zeros((8, 3)), np.zeros(8, np.int8), np.float32(1)))
    cut = layout.with_rows(5)
    shapes = [leaf.shape for leaf in leaves(cut.skeleton) if hasattr(leaf, "offset")]
    assert shapes == [(5, 3), (5,)]
    assert cut.data_bytes == layout.data_bytes
