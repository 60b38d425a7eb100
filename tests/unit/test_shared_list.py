"""Long lists of a source on their way to the workers: one copy, and like the user's own."""

from __future__ import annotations

import copy
import functools
import operator
import os
import pickle
import random
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastfeed.errors import SourceNotPicklable
from fastfeed.workers import payload
from fastfeed.workers.shared_list import (
    FEWEST,
    SharedList,
    SharedNumbers,
    SharedObjects,
    can_be_shared,
    decode,
    encode,
)

KINDS: dict[str, Callable[[int], Any]] = {
    "path": lambda i: f"/data/train/{i:06d}.jpg",
    "any text": lambda i: ["", "ascii", "é", "日本", "\udcff", "\0", "😀"][i % 7],
    "bytes": lambda i: bytes([i % 256]) * (i % 3),
    "int": lambda i: i - 5000,
    "huge int": lambda i: 2**63 + i,
    "float": lambda i: i / 7,
    "no numbers": lambda i: [float("inf"), -0.0, 5e-324][i % 3],
    "bool": lambda i: i % 3 == 0,
    "int or bool": lambda i: i % 2 if i % 3 else i % 2 == 1,
    "label or none": lambda i: None if i % 3 else i,
    "pair": lambda i: (f"{i}.png", i % 10),
    "tuples of any length": lambda i: (i, 1.5, b"x", None, True, 2j, "t")[: i % 8],
}


def made(kind: str, n: int = FEWEST) -> list[Any]:
    return [KINDS[kind](i) for i in range(n)]


def shared(values: list[Any]) -> SharedList:
    """The list as a worker has it."""
    format_, buffers = encode(values)
    return decode(format_, [memoryview(bytes(buffer)) for buffer in buffers])


class Holder:
    """A source with a list."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)


def sent(source: Any) -> Any:
    """What a worker gets."""
    fd = payload.ship(source)
    try:
        return payload.unpack(fd)
    finally:
        os.close(fd)


# -- reading --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_elements_are_equal_and_of_the_same_type(kind: str) -> None:
    values = made(kind)
    assert can_be_shared(values)
    found = shared(values)
    assert found == values and values == found
    assert list(map(repr, found)) == list(map(repr, values))  # -0.0, True and 1
    assert [type(found[i]) for i in range(50)] == [type(value) for value in values[:50]]


def test_numbers_lie_in_arrays() -> None:
    for kind, n_bytes in [("int", 8), ("float", 8), ("bool", 1)]:
        (buffer,) = encode(made(kind)).buffers
        assert len(buffer) == FEWEST * n_bytes
        assert isinstance(shared(made(kind)), SharedNumbers)
    assert isinstance(shared(made("huge int")), SharedObjects)


@given(
    st.lists(st.one_of(st.text(), st.integers(), st.floats(allow_nan=False)), min_size=1),
    st.slices(20),
    st.integers(-25, 25),
)
@settings(max_examples=60, deadline=None)
def test_whatever_is_asked_of_it_a_list_would_answer_too(
    values: list[Any], part: slice, index: int
) -> None:
    found = shared(values)
    for ask in QUESTIONS:
        assert answer(ask, found, part, index) == answer(ask, values, part, index)


QUESTIONS: list[Callable[[Any, slice, int], Any]] = [
    lambda x, part, i: x[i],
    lambda x, part, i: x[np.int64(i)],
    lambda x, part, i: x["no index"],
    lambda x, part, i: x[part],
    lambda x, part, i: type(x[part]),
    lambda x, part, i: len(x),
    lambda x, part, i: list(x),
    lambda x, part, i: list(reversed(x)),
    lambda x, part, i: x.index(x[i]),
    lambda x, part, i: x.count(x[0]),
    lambda x, part, i: (x[0] in x, "nowhere" in x),
    lambda x, part, i: sorted(map(repr, x)),
    lambda x, part, i: operator.add(x, [1]),
    lambda x, part, i: operator.add([1], x),
    lambda x, part, i: operator.add(x, (1,)),
    lambda x, part, i: x * 2 + 2 * x,
    lambda x, part, i: x + x,
    lambda x, part, i: x == list(x)[:-1],
    lambda x, part, i: x == tuple(x),
    lambda x, part, i: x != list(x),
    lambda x, part, i: [*map(repr, x)] < [*map(repr, x)],
    lambda x, part, i: x <= list(x),
    lambda x, part, i: x > list(x),
    lambda x, part, i: x < tuple(x),
    lambda x, part, i: x.index(x[-1], i),
    lambda x, part, i: x.copy(),
    lambda x, part, i: bool(x),
    lambda x, part, i: hash(x),
    lambda x, part, i: random.Random(3).choice(x),
    lambda x, part, i: random.Random(3).sample(x, 1),
    lambda x, part, i: np.array(x, dtype=object).tolist(),
    lambda x, part, i: copy.deepcopy(x),
    lambda x, part, i: type(pickle.loads(pickle.dumps(x))),
]


def answer(ask: Callable[..., Any], values: Any, part: slice, index: int) -> Any:
    """What comes of a question: an answer, or the type of the error."""
    try:
        return ask(values, part, index)
    except Exception as error:
        return type(error)


def test_an_index_out_of_range_is_told_as_of_a_list() -> None:
    for values in ([1, 2], ["a", "b"]):
        with pytest.raises(IndexError, match="list index out of range"):
            shared(values)[2]
        with pytest.raises(IndexError, match="list index out of range"):
            shared(values)[-3]


def test_what_is_not_in_it_is_told_as_of_a_list() -> None:
    for values in ([1, 2], ["a", "b"]):
        with pytest.raises(ValueError, match=r"'c' is not in list"):
            shared(values).index("c")


# -- changes --------------------------------------------------------------------------------

CHANGES: list[Callable[[Any], Any]] = [
    lambda x: x.append("new"),
    lambda x: x.extend([1, 2]),
    lambda x: x.extend(x),
    lambda x: x.insert(1, "new"),
    lambda x: x.pop(),
    lambda x: x.pop(0),
    lambda x: x.remove(x[2]),
    lambda x: x.reverse(),
    lambda x: x.sort(key=str, reverse=True),
    lambda x: x.clear(),
    lambda x: x.__setitem__(3, None),
    lambda x: x.__setitem__(slice(1, 4), ["new"]),
    lambda x: x.__delitem__(slice(None, None, 2)),
    lambda x: x.__iadd__(["new"]),
    lambda x: random.Random(1).shuffle(x),
    lambda x: np.random.RandomState(1).shuffle(x),
]


@pytest.mark.parametrize("kind", ["path", "int", "bool", "pair"])
@pytest.mark.parametrize("change", range(len(CHANGES)))
def test_a_change_makes_an_own_list_of_it_that_is_changed(kind: str, change: int) -> None:
    values = made(kind, 20)
    found = shared(values)
    CHANGES[change](values)
    CHANGES[change](found)
    assert list(found) == values and len(found) == len(values)
    assert found[:3] == values[:3] and found == values
    assert copy.copy(found) == values
    found.append(0)
    assert list(found) == [*values, 0]


# -- what is shared -------------------------------------------------------------------------


class Text(str):
    """A text with more to it."""


@pytest.mark.parametrize(
    "values",
    [
        ["a"] * (FEWEST - 1),
        tuple("a" for _ in range(FEWEST)),
        [["inner"]] * FEWEST,
        [{"a": 1}] * FEWEST,
        [("a", ["inner"])] * FEWEST,
        [Text("a")] * FEWEST,
        [np.float64(1)] * FEWEST,
        ["a", ("b", 1)] * FEWEST,
    ],
    ids=range(8),
)
def test_other_values_are_sent_as_they_are(values: Any) -> None:
    found = sent(Holder(values=values)).values
    assert type(found) is type(values) and found == values
    assert type(found[0]) is type(values[0])


def test_lists_are_shared_wherever_a_source_has_them() -> None:
    paths, labels = made("path"), made("int")

    def closure(index: int) -> str:
        return f"{type(paths).__name__} {paths[index]}"

    source = Holder(
        paths=paths,
        pair=(paths, labels),
        nested={"deep": [{"er": labels}]},
        child=Holder(paths=paths),
        closure=closure,
        partial=functools.partial(type, labels),
        short=[1, 2],
        array=np.arange(5),
        empty=np.zeros(0),
    )
    found = sent(source)
    assert isinstance(found.paths, SharedList) and found.paths == paths
    assert found.pair[0] is found.paths is found.child.paths
    assert found.pair[1] is found.nested["deep"][0]["er"] and found.pair[1] == labels
    assert found.closure(7) == f"SharedObjects {paths[7]}"
    assert found.partial() is SharedNumbers
    assert found.short == [1, 2] and type(found.short) is list
    assert found.array.tolist() == [0, 1, 2, 3, 4] and found.empty.size == 0


def test_lists_inside_other_types_stay_lists() -> None:
    """NumPy's array of objects and a set pickle themselves as lists, and want them back."""
    paths = made("path")
    source = Holder(paths=paths, objects=np.array(paths, dtype=object), known=set(paths))
    found = sent(source)
    assert found.objects.tolist() == paths and found.known == set(paths)


class Temporary:
    """Makes its state when it is pickled: lists that are gone right after."""

    def __init__(self, first: int) -> None:
        self.first = first

    def __getstate__(self) -> dict[str, Any]:
        return {"values": list(range(self.first, self.first + FEWEST))}


def test_lists_that_live_for_a_moment_only_are_not_mixed_up() -> None:
    found = sent(Holder(parts=[Temporary(first) for first in range(20)]))
    for first, part in enumerate(found.parts):
        assert isinstance(part.values, SharedNumbers)
        assert (part.values[0], part.values[-1]) == (first, first + FEWEST - 1)


def test_what_cannot_be_sent_is_still_named() -> None:
    with pytest.raises(SourceNotPicklable, match=r"Holder\.broken is a _thread\.lock"):
        sent(Holder(paths=made("path"), broken=threading.Lock()))
