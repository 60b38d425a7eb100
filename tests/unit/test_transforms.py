"""What each transform means, shown with NumPy; test_transforms_kernels compares kernels with it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
import pytest
from unit_kernels import assert_same_bits, on_device

import fastfeed
from fastfeed.devices import transforms as T  # noqa: N812
from fastfeed.devices.transforms.draws import GOLDEN, mix
from fastfeed.structure import ArrayLeaf, Layout, leaf_bytes

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (6, 9, 11, 3), np.uint8)
LABELS = np.array([0, 2, 1, 1, 0, 2])


def images(*ops: Any, of: np.ndarray = IMAGES, index: int = 0) -> np.ndarray:
    (result,) = T.Augment(list(ops)).on_host((of,), seed=1, epoch=2, index=index)
    return result


def labels(of: Any, *ops: Any) -> np.ndarray:
    augment = T.Augment(labels=list(ops), label_key=())
    return augment.on_host(np.asarray(of), seed=1, epoch=2, index=3)


def test_random_numbers_are_splitmix64s() -> None:
    """The first outputs from state 1234567, as its authors' code gives them."""
    states = [(1234567 + GOLDEN * step) % 2**64 for step in range(1, 6)]
    expected = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    assert [mix(state) for state in states] == expected
    assert mix(np.array(states, np.uint64)).tolist() == expected


# -- ops that move pixels -------------------------------------------------------------------


def test_a_crop_is_a_window_and_every_window_comes() -> None:
    numbered = np.broadcast_to(np.arange(20).reshape(1, 4, 5), (3000, 4, 5))
    cropped = images(T.RandomCrop(2, 3), of=numbered)
    corners = cropped[:, 0, 0]
    for corner, window in zip(corners, cropped, strict=True):
        top, left = divmod(int(corner), 5)
        assert (window == numbered[0, top : top + 2, left : left + 3]).all()
    counts = np.bincount(corners, minlength=20).reshape(4, 5)[:3, :3]
    assert counts.sum() == 3000
    assert abs(counts - 3000 / 9).max() < 5 * np.sqrt(3000 / 9)


def test_a_crop_of_padded_images_has_zeros_outside() -> None:
    ones = np.ones((500, 4, 4, 2), np.float32)
    cropped = images(T.RandomCrop(4, 4, padding=2), of=ones)
    # A window of 4 pixels in 4 padded to 8 lies at 0 to 4, where it has 2, 3, 4, 3 and 2 ones.
    areas = {int(area) for area in cropped[..., 0].sum((1, 2))}
    assert areas == {a * b for a in (2, 3, 4) for b in (2, 3, 4)}
    assert set(np.unique(cropped)) == {0, 1}


def test_padding_takes_part_in_later_ops() -> None:
    black = images(T.RandomCrop(13, 15, padding=2), T.Normalise(10, 5))
    assert (black[:, 0] == -2).all()
    mean = images(T.Normalise(10, 5), T.RandomCrop(13, 15, padding=2))
    assert (mean[:, 0] == 0).all()


def test_a_crop_of_the_whole_image_is_the_image() -> None:
    assert_same_bits(images(T.RandomCrop(9, 11)), IMAGES)


def test_flips_mirror_columns() -> None:
    assert_same_bits(images(T.RandomFlip(1)), np.ascontiguousarray(IMAGES[:, :, ::-1]))
    assert_same_bits(images(T.RandomFlip(0)), IMAGES)


def test_flips_come_as_often_as_asked_for() -> None:
    rows = np.broadcast_to(np.array([0, 1], np.uint8), (20000, 1, 2))
    flipped = images(T.RandomFlip(np.float32(0.3)), of=rows)[:, 0, 0]
    assert abs(flipped.mean() - 0.3) < 5 * np.sqrt(0.3 * 0.7 / 20000)


def test_channels_first() -> None:
    assert_same_bits(images(T.ChannelsFirst()), np.ascontiguousarray(IMAGES.transpose(0, 3, 1, 2)))


def test_the_order_of_ops_that_do_not_touch_each_other_is_no_matter() -> None:
    normalise = T.Normalise([1, 2, 3], [4, 5, 6])
    crop, flip = T.RandomCrop(5, 6, padding=1), T.RandomFlip()
    before = images(crop, flip, normalise, T.ChannelsFirst())
    after = images(crop, flip, T.ChannelsFirst(), normalise)
    assert_same_bits(after, before)
    moved_first = images(T.ChannelsFirst(), flip, crop)
    assert moved_first.shape == (6, 3, 5, 6)


# -- ops that change values -----------------------------------------------------------------


def test_normalise() -> None:
    mean, std = [123.7, 116.3, 103.5], [58.4, 57.1, 57.4]
    expected = (IMAGES.astype(np.float64) - mean) / std
    got = images(T.Normalise(mean, std))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(images(T.Normalise(9, 2)), (IMAGES - 9.0) / 2, rtol=1e-6)


def test_scale() -> None:
    np.testing.assert_allclose(images(T.Scale(1 / 255)), IMAGES / 255, rtol=1e-6)
    np.testing.assert_allclose(images(T.Scale([1, 2, 3], -1)), IMAGES * [1.0, 2, 3] - 1)


def test_float64_stays_float64() -> None:
    values = RNG.normal(size=(2, 3, 4, 3))
    got = images(T.Scale(3, 0.1), of=values)
    assert_same_bits(got, values * 3 + 0.1)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ml_dtypes.bfloat16])
def test_casts_to_floats_are_numpys(dtype: Any) -> None:
    assert_same_bits(images(T.Cast(dtype)), IMAGES.astype(dtype))


def test_casts_to_integers_saturate() -> None:
    values = np.array([[[-1e30, -129, -1.9, -0.5, 0.5, 127.9, 255.9, 256, 1e30]]], np.float32)
    values = np.concatenate([values, np.full_like(values, np.nan)], axis=2)
    as_u8 = [0, 0, 0, 0, 0, 127, 255, 255, 255] + [0] * 9
    as_i8 = [-128, -128, -1, 0, 0, 127, 127, 127, 127] + [0] * 9
    low, high = -(2**63), 2**63 - 1
    as_i64 = [low, -129, -1, 0, 0, 127, 255, 256, high] + [0] * 9
    assert images(T.Cast("uint8"), of=values).ravel().tolist() == as_u8
    assert images(T.Cast("int8"), of=values).ravel().tolist() == as_i8
    assert images(T.Cast("int64"), of=values).ravel().tolist() == as_i64
    integers = np.array([[[-(2**63), -1, 0, 1, 255, 256, 2**63 - 1]]])
    as_u8 = [0, 0, 0, 1, 255, 255, 255]
    assert images(T.Cast("uint8"), of=integers).ravel().tolist() == as_u8
    as_u64 = [0, 0, 0, 1, 255, 256, 2**63 - 1]
    assert images(T.Cast("uint64"), of=integers).ravel().tolist() == as_u64


def test_casts_to_bool_ask_for_zero() -> None:
    values = np.array([[[0.0, -0.0, 0.1, -3, np.nan]]])
    assert images(T.Cast(bool), of=values).ravel().tolist() == [False, False, True, True, True]


def test_one_hot() -> None:
    assert_same_bits(labels(LABELS, T.OneHot(4)), np.eye(4, dtype=np.float32)[LABELS])
    column = labels(LABELS[:, None], T.OneHot(4, dtype="uint8"))
    assert_same_bits(column, np.eye(4, dtype=np.uint8)[LABELS])
    masks = RNG.integers(0, 3, (2, 4, 5))
    assert_same_bits(labels(masks, T.OneHot(3)), np.eye(3, dtype=np.float32)[masks])


def test_one_hot_of_an_unknown_class_is_zeros() -> None:
    unknown = np.array([-1, 4, 256, 2**32, -(2**63)])
    augment = T.Augment(labels=[T.OneHot(4)])
    for got in (labels(unknown, T.OneHot(4)), on_device(augment, (0, unknown), 0, 0, 0)[1]):
        assert got.shape == (5, 4)
        assert not got.any()


# -- mixup ----------------------------------------------------------------------------------


def mixed(index: int, alpha: float = 1.0, rows: int = 6) -> tuple[np.ndarray, np.ndarray]:
    augment = T.Augment([T.Cast("float32")], [T.OneHot(rows)], T.Mixup(alpha))
    batch = (IMAGES[:rows], np.arange(rows))
    return augment.on_host(batch, seed=4, epoch=0, index=index)


def test_mixup_mixes_images_as_their_labels_say() -> None:
    partners = set()
    for index in range(50):
        x, y = mixed(index)
        own = np.diagonal(y)
        assert (own == own[0]).all()
        partner = (y - np.diag(own)).argmax(1)
        assert (partner == np.roll(np.arange(6), -partner[0])).all()
        np.testing.assert_allclose(y.sum(1), 1, rtol=1e-6)
        expected = own[0] * IMAGES + (1 - own[0]) * IMAGES[partner]
        np.testing.assert_allclose(x, expected, rtol=1e-5, atol=1e-3)
        partners.add(int(partner[0]))
    assert partners == {1, 2, 3, 4, 5}


def test_mixups_weights_are_drawn_from_beta() -> None:
    own = np.array([mixed(index, alpha=0.4)[1][0, 0] for index in range(1000)])
    # The variance of Beta(a, a) is 1 / (4 (2a + 1)).
    assert abs(own.mean() - 0.5) < 5 * np.sqrt(1 / 4 / 1.8 / 1000)
    assert abs(own.var() - 1 / 4 / 1.8) < 0.02


def test_one_sample_alone_is_mixed_with_itself() -> None:
    x, y = mixed(0, rows=1)
    np.testing.assert_allclose(x, IMAGES[:1].astype(np.float32), rtol=1e-6)
    np.testing.assert_allclose(y, [[1]], rtol=1e-6)


def test_mixup_alone_mixes_float_arrays() -> None:
    augment = T.Augment(mixup=T.Mixup(1.0))
    batch = (np.zeros((3, 2, 2), np.float16), np.eye(3, dtype=np.float64))
    x, y = augment.on_host(batch, seed=0, epoch=0, index=0)
    assert (x.dtype, y.dtype) == (np.float16, np.float64)
    assert (y != np.eye(3)).any()


# -- what random numbers depend on ----------------------------------------------------------

AUGMENT = T.Augment(
    [T.RandomCrop(5, 5, padding=2), T.RandomFlip(), T.Normalise(127.5, 127.5)],
    [T.OneHot(3)],
    T.Mixup(0.3),
)


def test_the_same_place_gives_the_same_batch_and_others_do_not() -> None:
    def run(**changed: Any) -> bytes:
        place = {"seed": 1, "epoch": 2, "index": 3} | changed
        x, y = AUGMENT.on_host((IMAGES, LABELS), **place)
        return bytes(x.tobytes() + y.tobytes())

    assert run() == run() == run(seed=np.int64(1), epoch=np.uint8(2), index=np.int64(3))
    others = {run(seed=2), run(epoch=3), run(index=4), run(seed=2, epoch=1), run(seed=-1)}
    assert len(others | {run()}) == 6


def test_a_sample_is_augmented_alike_in_a_shorter_batch() -> None:
    augment = T.Augment([T.RandomCrop(5, 5), T.RandomFlip()])
    (whole,) = augment.on_host((IMAGES,), seed=0, epoch=0, index=0)
    (half,) = augment.on_host((IMAGES[:3],), seed=0, epoch=0, index=0)
    assert_same_bits(half, whole[:3])


def test_equal_ops_draw_other_numbers() -> None:
    twice = images(T.RandomFlip(), T.RandomFlip(), of=np.repeat(IMAGES[:1], 100, axis=0))
    flipped = (twice != IMAGES[:1]).any((1, 2, 3))
    assert 20 < flipped.sum() < 80


# -- batches --------------------------------------------------------------------------------


class Batch(NamedTuple):
    y: Any
    x: Any
    name: str


def test_arrays_are_found_in_any_batch_and_the_others_go_through() -> None:
    expected = images(T.ChannelsFirst())
    weights = np.arange(6.0)
    for batch, key in [
        (IMAGES, ()),
        ({"image": IMAGES, "w": weights}, "image"),
        ([IMAGES, weights], 0),
        (Batch(weights, IMAGES, "n"), 1),
        ({"in": (weights, IMAGES), "text": ["a", None]}, ("in", 1)),
    ]:
        augment = T.Augment([T.ChannelsFirst()], image_key=key)
        on_host = augment.on_host(batch, seed=1, epoch=2, index=0)
        for got in (on_host, on_device(augment, batch, 1, 2, 0)):
            assert type(got) is type(batch)
            found = got
            for step in key if isinstance(key, tuple) else (key,):
                found = found[step]
            assert_same_bits(found, expected)
        assert_same_bits(on_device(augment, batch, 1, 2, 0), on_host)


def test_results_lie_one_behind_the_other() -> None:
    batch = {"x": IMAGES, "w": np.arange(5.0), "s": "text", "y": LABELS, "e": np.zeros((0, 3))}
    augment = T.Augment([T.Cast("float16")], [T.OneHot(3)], image_key="x", label_key="y")
    skeleton = Layout.of(batch).skeleton
    plan = augment.plan(skeleton)
    outputs = plan.outputs
    assert outputs["s"] == "text"
    assert outputs["x"][1:] == (IMAGES.shape, np.dtype(np.float16))
    assert outputs["y"][1:] == ((6, 3), np.dtype(np.float32))
    assert plan.copies == ((skeleton["w"], outputs["w"]), (skeleton["e"], outputs["e"]))
    end = 0
    for leaf in (outputs[name] for name in "xwye"):
        assert type(leaf) is ArrayLeaf
        assert leaf.offset % 256 == 0
        assert leaf.offset >= end
        end = leaf.offset + leaf_bytes(leaf)
    assert plan.output_bytes >= end
    on_host = augment.on_host(batch, seed=0, epoch=0, index=0)
    assert_same_bits(on_device(augment, batch, 0, 0, 0), on_host)


def test_the_batch_given_is_not_changed() -> None:
    batch = (IMAGES.copy(), LABELS.copy())
    T.Augment([T.RandomFlip(1)]).on_host(batch, seed=0, epoch=0, index=0)
    assert_same_bits(batch, (IMAGES, LABELS))


def test_other_libraries_arrays_are_taken() -> None:
    import torch

    (got,) = T.Augment([T.ChannelsFirst()]).on_host(
        (torch.from_numpy(IMAGES),), seed=0, epoch=0, index=0
    )
    assert_same_bits(got, images(T.ChannelsFirst()))


def test_importing_transforms_imports_nothing_heavy() -> None:
    program = (
        "import json, sys; import fastfeed.devices.transforms; print(json.dumps([*sys.modules]))"
    )
    modules = json.loads(subprocess.check_output([sys.executable, "-c", program], text=True))
    assert "fastfeed.devices.transforms.kernel" in modules
    assert {"cupy", "ml_dtypes", "torch"}.isdisjoint(modules)
    assert fastfeed.__name__ in modules
