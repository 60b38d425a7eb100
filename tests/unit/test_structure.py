"""Whatever a source returns arrives as it was: tree, dtypes, shapes and every byte."""

from __future__ import annotations

import collections
import functools
import pickle
from collections.abc import Callable
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from unit_sources import Batches, arrays_in, fed, same
from unit_trees import DTYPES, ArrayLike, Pair, every_dtype, every_memory_layout

import fastfeed
from fastfeed.errors import SourceError, StructureChanged
from fastfeed.structure import describe

WAYS: list[dict[str, Any]] = [
    {"workers": 0},
    {"workers": 2, "use_multiprocessing": False},
    {"workers": 2},
]


def live(tree: Any, **options: Any) -> Any:
    """The batch of a source that has only this one, while its loader is open."""
    with fastfeed.Loader([tree], **options) as loader:
        (batch,) = loader
        return batch


def live_from(make: Callable[[], Any], **options: Any) -> Any:
    """The same, made by the worker."""
    with fastfeed.Loader(Batches(lambda index: make(), 1), **options) as loader:
        (batch,) = loader
        return batch


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("shape", [(3, 5), (), (0, 4), (4, 0)])
def test_every_dtype_arrives_byte_for_byte(way: dict[str, Any], shape: tuple[int, ...]) -> None:
    tree = every_dtype(shape)
    batch = live_from(functools.partial(every_dtype, shape), **way)
    wrong = [name for name in tree if not same(tree[name], batch[name])]
    assert not wrong
    assert len(batch) == len(DTYPES) > 40


@pytest.mark.parametrize("way", WAYS)
def test_every_memory_layout_arrives_in_c_order(way: dict[str, Any]) -> None:
    tree = every_memory_layout()
    batch = live_from(every_memory_layout, **way)
    assert [name for name in tree if not same(tree[name], batch[name])] == []
    assert all(array.flags.c_contiguous and array.flags.writeable for array in arrays_in(batch))


@pytest.mark.parametrize("way", WAYS)
def test_objects_travel_beside_the_arrays(way: dict[str, Any]) -> None:
    tree = {
        "x": np.arange(4),
        "objects": ["cat", None, 7, 2.5, b"bytes", {1, 2}, range(3)],
        "ragged": np.array([[1], [2, 3]], dtype=object),
        "deep": [({"a": None}, ()), [], {}],
    }
    batch = live(tree, **way)
    assert same(batch["x"], tree["x"])
    assert batch["ragged"].tolist() == [[1], [2, 3]]
    assert (batch["objects"], batch["deep"]) == (tree["objects"], tree["deep"])


@pytest.mark.parametrize("way", WAYS)
def test_containers_keep_their_kind(way: dict[str, Any]) -> None:
    tree = Pair({"b": np.ones(1), "a": [np.ones(2), (np.ones(3),)]}, Pair(np.ones(4), "text"))
    batch = live(tree, **way)
    assert same(batch, tree)
    assert list(batch.left) == ["b", "a"]
    assert type(batch) is type(batch.right) is Pair


def test_subclasses_of_containers_arrive_as_plain_ones() -> None:
    tree = collections.OrderedDict(x=collections.UserList([1]), y=torch.Size([2, 3]))
    batch = live(tree, workers=0)
    assert type(batch) is dict
    assert batch["y"] == (2, 3)


@pytest.mark.parametrize("way", WAYS)
def test_array_likes_of_other_libraries_become_arrays(way: dict[str, Any]) -> None:
    tree = {"array": ArrayLike(), "scalar": np.float32(2.5), "text": np.str_("é")}
    batch = live(tree, **way)
    assert same(batch["array"], np.arange(6).reshape(2, 3))
    assert same(batch["scalar"], np.array(2.5, np.float32))
    assert same(batch["text"], np.array("é"))


def test_tensors_of_pytorch_become_arrays() -> None:
    assert same(live(torch.ones(2, 3), workers=0), np.ones((2, 3), np.float32))


@pytest.mark.parametrize("way", WAYS)
def test_every_array_starts_at_a_multiple_of_64_bytes(way: dict[str, Any]) -> None:
    source = Batches(lambda i: [np.full(n, i, np.uint8) for n in (1, 63, 0, 64, 65, 4097)])
    with fastfeed.Loader(source, **way) as loader:
        for index, batch in enumerate(loader):  # the first is spilled, the others lie in slots
            assert [array.ctypes.data % 64 for array in batch] == [0] * 6
            assert all((array == index).all() for array in batch)


# -- any tree -------------------------------------------------------------------------------


def rearranged(array: np.ndarray, how: int) -> np.ndarray:
    """The same shape, laid out in another way."""
    if how == 1:
        return np.asfortranarray(array)
    if how == 2 and array.ndim:
        return array[::-1]
    if how == 3 and array.ndim:
        return np.repeat(array, 2, axis=-1)[..., ::2]
    return array


arrays = st.builds(
    rearranged,
    hnp.arrays(
        st.one_of(hnp.scalar_dtypes(), st.sampled_from(DTYPES).filter(lambda d: d.num < 20)),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    ),
    st.integers(0, 3),
)
objects = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary())
trees = st.recursive(
    st.one_of(arrays, objects),
    lambda children: st.one_of(
        st.lists(children, max_size=4),
        st.lists(children, max_size=4).map(tuple),
        st.dictionaries(st.text(max_size=3), children, max_size=4),
        st.builds(Pair, children, children),
    ),
    max_leaves=8,
).filter(lambda tree: tree is not None)


@given(trees)
@settings(max_examples=200)
def test_any_tree_arrives_as_it_was(tree: Any) -> None:
    batch = live(tree, workers=0)
    assert same(batch, tree)
    assert all(array.ctypes.data % 64 == 0 for array in arrays_in(batch))


@given(trees)
@settings(max_examples=15)
def test_any_tree_arrives_from_processes_as_it_was(tree: Any) -> None:
    batches = fed([tree] * 3, workers=2)
    sent = pickle.loads(pickle.dumps(tree))  # NumPy 2.4 forgets the byte order of dates there
    assert len(batches) == 3
    assert all(same(batch, sent) for batch in batches)


# -- what may change from batch to batch ----------------------------------------------------

X = np.zeros((2, 3), np.float32)
CHANGES = {
    "another tree": ((X, X), [X, X]),
    "one array more": ((X, X), (X, X, X)),
    "an array or a tuple of it": (X, (X,)),
    "another name": ({"a": X, "b": X}, {"a": X, "c": X}),
    "a name more": ({"a": X}, {"a": X, "b": X}),
    "another dtype": (X, X.astype(np.float64)),
    "another byte order": (X, X.astype(">f4")),
    "texts in place of bytes": (np.array(["a"]), np.array([b"a"])),
    "another number of dimensions": (X, X[0]),
    "an object in place of an array": ((X, X), (X, None)),
    "a named tuple": ((X, X), Pair(X, X)),
}
SIZES = {
    "rows": (X, np.zeros((1, 3), np.float32)),
    "every extent": (X, np.zeros((5, 7), np.float32)),
    "no rows": (X, np.zeros((0, 3), np.float32)),
    "length of texts": (np.array(["cat"]), np.array(["zebra", "ox"])),
    "length of bytes": (np.array([b"cat"]), np.array([b"zebra"])),
    "number of objects": ((X, ["a", "b"]), (X, ["c"])),
    "objects": ((X, {"name": "a"}), (X, None)),
    "order of names": ({"a": X, "b": X + 1}, {"b": X + 1, "a": X}),
}


@pytest.mark.parametrize("first, then", CHANGES.values(), ids=CHANGES.keys())
def test_another_structure_is_refused(first: Any, then: Any) -> None:
    with fastfeed.Loader([first, first, then, first], workers=0) as loader:
        batches = iter(loader)
        assert same(next(batches), first)
        assert same(next(batches), first)
        with pytest.raises(StructureChanged, match="The batch of index 2 has another structure"):
            next(batches)
        assert same(next(batches), first)  # the loop may go on


@pytest.mark.parametrize("first, then", SIZES.values(), ids=SIZES.keys())
@pytest.mark.filterwarnings("ignore:A batch of")
def test_sizes_and_objects_may_change(first: Any, then: Any) -> None:
    received = fed([first, then, first, then], workers=0)
    assert same(received[0], first)
    assert same(received[1], then)
    assert same(received[3], then)


def test_the_message_shows_both_structures() -> None:
    with pytest.raises(
        StructureChanged,
        match=r"\{'x': float32\[2, 3\], 'y': \[str\]\} instead of \(float32\[2, 3\]\)",
    ):
        fed([(X,), {"x": X, "y": ["a"]}], workers=0)


def test_a_long_list_is_not_shown_in_full() -> None:
    text = describe([1] * 1000)
    assert text.count("int") == 8
    assert text.endswith(", ...]")


# -- what cannot be fed ---------------------------------------------------------------------


class OnDevice:
    """As far as fastfeed looks, an array on a GPU."""

    def __dlpack_device__(self) -> tuple[int, int]:
        return (2, 0)


def test_arrays_on_a_gpu_are_refused() -> None:
    with pytest.raises(SourceError, match=r"gave a test_structure\.OnDevice that lies on a GPU"):
        live((X, OnDevice()), workers=0)


def test_masked_arrays_are_refused_because_the_mask_would_be_lost() -> None:
    masked = np.ma.masked_greater(np.arange(4), 1)
    for options in ({}, {"batch_size": 2}):
        with pytest.raises(SourceError, match="a masked array, whose mask no framework knows"):
            fed([masked, masked], workers=0, **options)
    with pytest.raises(SourceError, match="a masked array"):
        fastfeed.Loader((masked,), batch_size=2)


@pytest.mark.parametrize("way", WAYS)
def test_an_object_that_does_not_pickle_is_named(way: dict[str, Any]) -> None:
    source = Batches(lambda i: (X, (value for value in "ab")))
    with pytest.raises(
        SourceError, match=r"cannot pickle 'generator'.*\(float32\[2, 3\], generator"
    ):
        fed(source, **way)
