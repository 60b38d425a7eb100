"""A million names are two arrays."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastfeed.errors import ArgumentError
from fastfeed.imaging.crop import RandomCrop
from fastfeed.imaging.names import Names, hash_of

NAMES = st.lists(st.binary(max_size=6).map(lambda raw: raw.replace(b"\0", b"/")))


@given(NAMES)
def test_names_come_back(raw):
    names = [name.decode("utf-8", "surrogateescape") for name in raw]
    kept = Names(names)
    assert len(kept) == len(names)
    assert list(kept) == names
    assert [kept[row] for row in range(len(names))] == names


def test_a_name_with_a_nul_is_none():
    with pytest.raises(ArgumentError, match="no NUL"):
        Names(["a", "b\0c"])


def test_names_travel_as_two_buffers():
    names = Names([f"class/{number}.jpg" for number in range(100_000)])
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(names, protocol=5, buffer_callback=buffers.append)
    assert len(head) < 1000
    assert len(buffers) == 2
    assert pickle.loads(head, buffers=buffers)[99_999] == "class/99999.jpg"


def test_hashes_tell_values_types_and_shapes_apart():
    four = np.arange(4)
    arrays = [four, four.astype(float), four[::-1], four.reshape(2, 2), np.ones(0)]
    assert len({hash_of(array) for array in arrays}) == len(arrays)
    assert hash_of(np.arange(8)[::2]) == hash_of(np.arange(0, 8, 2))
    assert Names(["ab", "c"]).digest() != Names(["a", "bc"]).digest()


# -- random crops -------------------------------------------------------------------------------


@given(
    st.integers(1, 900),
    st.integers(1, 900),
    st.floats(0.01, 1),
    st.floats(0, 1),
    st.floats(0.2, 5),
    st.floats(1, 3),
    st.integers(0, 2**32),
)
def test_a_crop_lies_in_the_image(height, width, low, more, narrow, times, seed):
    crop = RandomCrop.of(((low, low + more * (1 - low)), (narrow, narrow * times)))
    top, left, high, wide = crop.draw(np.random.default_rng(seed), height, width)
    assert 0 <= top <= top + high <= height
    assert 0 <= left <= left + wide <= width
    assert high > 0 < wide


def test_crops_have_the_areas_and_ratios_asked_for():
    crop, rng = RandomCrop.of(True), np.random.default_rng(0)
    boxes = np.array([crop.draw(rng, 375, 500) for _ in range(2000)])
    part = boxes[:, 2] * boxes[:, 3] / (375 * 500)
    ratio = boxes[:, 3] / boxes[:, 2]
    assert 0.078 < part.min() < 0.1
    assert 0.9 < part.max() <= 1
    assert 0.73 < ratio.min() < 0.77
    assert 1.3 < ratio.max() < 1.36
    assert 0.9 < np.exp(np.log(ratio).mean()) < 1.1
    assert boxes[:, 0].max() > 250
    assert boxes[:, 1].max() > 300


def test_what_never_fits_is_cut_out_of_the_middle():
    crop = RandomCrop.of(((1, 1), (1, 1)))
    assert crop.draw(np.random.default_rng(0), 100, 300) == (0, 100, 100, 100)
    assert crop.draw(np.random.default_rng(0), 300, 100) == (100, 0, 100, 100)
    wide = RandomCrop.of(((1, 1), (2, 3)))
    assert wide.draw(np.random.default_rng(0), 100, 100) == (25, 0, 50, 100)


def test_a_large_file_is_decoded_to_what_the_smallest_crop_needs():
    assert RandomCrop.of(((0.25, 1), (1, 1))).least(100, 50) == (200, 100)
