"""Parts of a batch that come by themselves: kept until they are complete, and put together."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from fastfeed import _core
from fastfeed._core import DATA, EXCEPTION, Batch
from fastfeed.errors import SourceError
from fastfeed.parts import Parts, join, merge
from fastfeed.sources.samples import in_order_of, row_layout
from fastfeed.structure import ArrayLeaf

INT = np.dtype(np.int64)


def batches(*sizes: int, kind: int = DATA) -> Iterator[list[Batch]]:
    """Batches in so many parts, each of which comes by itself: they say different layouts."""
    fd = _core.create_memory("fastfeed-test", _core.Ring.bytes_for(16, 1))
    ring = _core.Ring.create(_core.Mapping(fd), 16, 1)
    os.close(fd)
    for size in sizes:
        ring.post(7, 1, 0, 0, 0, rows=12, parts=size)
        for part in range(size):
            claim = ring.claim(0, 0)
            ring.publish(claim, kind if part == size - 1 else DATA, 0, layout=part)
        pieces = [ring.take() for _ in range(size)]
        assert None not in pieces
        yield [piece for piece in pieces if piece is not None]


def test_a_batch_is_complete_with_its_last_part() -> None:
    parts = Parts()
    first, second = batches(3, 2)
    assert parts.add(first[0]) == []
    assert parts.add(second[0]) == []
    assert parts.add(first[1]) == []
    assert parts.add(second[1]) == second
    assert parts.add(first[2]) == first
    assert parts.drop() == []


def test_what_is_not_complete_can_be_dropped() -> None:
    parts = Parts()
    (pieces,) = batches(3)
    parts.add(pieces[0])
    parts.add(pieces[1])
    assert parts.drop() == pieces[:2]
    assert parts.add(pieces[2]) == pieces[2:]  # the others are lost, and nobody waits for them


def test_a_joined_batch_has_all_rows_and_the_first_failure() -> None:
    (pieces,) = batches(3, kind=EXCEPTION)
    assert [(piece.first_row, piece.rows, piece.is_last) for piece in pieces] == [
        (0, 4, False), (4, 4, False), (8, 4, True)
    ]  # fmt: skip
    whole = Batch.join(pieces)
    assert (whole.sequence, whole.index, whole.epoch) == (0, 7, 1)
    assert (whole.first_row, whole.rows, whole.parts, whole.is_last) == (0, 12, 1, True)
    assert (whole.kind, whole.pieces) == (EXCEPTION, tuple(pieces))


def test_skeletons_are_joined_leaf_by_leaf() -> None:
    leaf = ArrayLeaf(0, (4, 2), INT)
    parts = [
        {"x": leaf, "names": ["a", "b"], "more": [[leaf], (["c", None],)]},
        {"x": leaf, "names": ["d"], "more": [[leaf], (["e"],)]},
    ]
    assert join(parts) == {
        "x": leaf,
        "names": ["a", "b", "d"],
        "more": [[leaf], (["c", None, "e"],)],
    }


@pytest.mark.parametrize(
    "other",
    [
        {"x": ArrayLeaf(0, (4, 3), INT)},
        {"x": ArrayLeaf(0, (4, 2), np.dtype(np.float32))},
        {"x": ["a"]},
        {"y": ArrayLeaf(0, (4, 2), INT)},
        [ArrayLeaf(0, (4, 2), INT)],
        {"x": ArrayLeaf(0, (4, 2), INT), "y": ["a"]},
    ],
)
def test_other_skeletons_are_not_joined(other: Any) -> None:
    with pytest.raises(ValueError):
        join([{"x": ArrayLeaf(0, (4, 2), INT)}, other])


def test_samples_that_name_their_parts_in_another_order_lie_alike() -> None:
    sample = {"b": np.zeros(2), "a": (np.zeros(3, "i1"), {"z": np.zeros(1), "y": np.zeros(2)})}
    turned = in_order_of(sample, {"a": (0, {"y": 0, "z": 0}), "b": 0})
    assert [list(turned), list(turned["a"][1])] == [["a", "b"], ["y", "z"]]
    one, other = row_layout(sample, 5), row_layout(turned, 5)
    assert (list(one.skeleton), list(other.skeleton)) == (["b", "a"], ["a", "b"])
    assert (one.common or one.note) == (other.common or other.note)
    assert in_order_of(other.skeleton, one.skeleton) == one.skeleton
    assert one.note != other.note


def test_parts_that_do_not_belong_together_are_named() -> None:
    (pieces,) = batches(3)
    whole = Batch.join(pieces)
    with pytest.raises(SourceError, match=r"rows 0 to 3, rows 4 to 7, rows 8 to 11\. Pad or crop"):
        merge(whole, [])
