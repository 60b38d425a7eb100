"""What a kernel gives is what NumPy gives, bit for bit. Kernels run as C here; see unit_kernels."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit_kernels import assert_same_bits, on_device

from fastfeed.devices import transforms as T  # noqa: N812
from fastfeed.devices.transforms import kernel
from fastfeed.devices.transforms.form import Form, image_form
from fastfeed.devices.transforms.op import Chain, Op
from fastfeed.structure import Layout

INTEGERS = ["bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))]
FLOATS = ["float16", "bfloat16", "float32", "float64"]
DTYPES = st.sampled_from(INTEGERS + FLOATS)
SMALL = st.floats(-300, 300, width=32)


def as_dtype(name: str) -> np.dtype:
    return np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)


def random_array(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """All bits random, so that NaN, infinities and subnormal numbers are among floats; half of the
    floats are in a range where casts to integers do not saturate.
    """
    dtype, rng = as_dtype(name), np.random.default_rng(seed)
    if name == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    size = int(np.prod(shape)) * dtype.itemsize
    array = np.frombuffer(rng.bytes(size), dtype).reshape(shape)
    if name not in FLOATS:
        return array
    return np.where(rng.random(shape) < 0.5, array, rng.normal(0, 200, shape).astype(dtype))


@st.composite
def per_channel(draw: Any, form: Form, values: Any) -> Any:
    count = form.n_channels
    return draw(values | st.lists(values, min_size=count, max_size=count))


@st.composite
def next_op(draw: Any, form: Form, kinds: list[str]) -> Op:
    """An op that fits."""
    kind = draw(st.sampled_from(kinds))
    if kind == "crop":
        padding = draw(st.integers(0, 3))
        sides = [draw(st.integers(1, form.shape[axis] + 2 * padding)) for axis in form.sides]
        return T.RandomCrop(*sides, padding=padding)
    if kind == "flip":
        return T.RandomFlip(draw(st.sampled_from([0.0, 0.3, 0.5, 1.0])))
    if kind == "scale":
        return T.Scale(draw(per_channel(form, SMALL)), draw(per_channel(form, SMALL)))
    if kind == "normalise":
        deviations = st.floats(1e-3, 300)
        return T.Normalise(draw(per_channel(form, SMALL)), draw(per_channel(form, deviations)))
    return T.ChannelsFirst() if kind == "first" else T.Cast(draw(DTYPES))


@st.composite
def image_ops(draw: Any, form: Form) -> list[Op]:
    ops: list[Op] = []
    for _ in range(draw(st.integers(0, 5))):
        kinds = ["crop", "flip", "scale", "normalise", "cast"]
        kinds += ["first"] * (form.channels == 3)
        ops.append(draw(next_op(form, kinds)))
        form = ops[-1].fit(form)
    return ops


@settings(max_examples=120)
@given(data=st.data())
def test_images(data: Any) -> None:
    draw = data.draw
    channels = draw(st.sampled_from([(), (1,), (3,), (4,)]))
    shape = (*(draw(st.integers(1, 7)) for _ in range(3)), *channels)
    images = random_array(draw(DTYPES), shape, draw(st.integers(0, 99)))
    ops = draw(image_ops(image_form(images.shape, images.dtype)))
    mixup = draw(st.sampled_from([None, T.Mixup(0.4)]))
    if mixup:
        ops.append(T.Cast(draw(st.sampled_from(FLOATS))))
    ops = ops or [T.RandomFlip()]
    augment = T.Augment(ops, [T.OneHot(3)], mixup)
    batch = (images, np.arange(len(images)) - 1)
    where = [draw(st.sampled_from([0, 1, 2**40, 2**64 - 1])) for _ in range(3)]
    expected = augment.on_host(batch, seed=where[0], epoch=where[1], index=where[2])
    assert_same_bits(on_device(augment, batch, *where), expected)


@settings(max_examples=60)
@given(data=st.data())
def test_labels(data: Any) -> None:
    draw = data.draw
    shape = draw(st.sampled_from([(1,), (5,), (5, 1), (1, 1), (4, 3), (2, 3, 1)]))
    name = draw(st.sampled_from(INTEGERS))
    labels = random_array(name, shape, draw(st.integers(0, 99)))
    if name != "bool":
        labels = np.where(labels % 2, labels, labels % 6)
    one_hot = T.OneHot(draw(st.integers(1, 6)), draw(DTYPES))
    form = one_hot.fit(Form(labels.shape, labels.dtype, None))
    smoothing = T.Scale(draw(per_channel(form, SMALL)), draw(SMALL))
    ops = [one_hot, smoothing, T.Cast("float16")][: draw(st.integers(1, 3))]
    augment = T.Augment(labels=ops)
    batch = {1: labels.astype(name), "other": "text"}
    expected = augment.on_host(batch, seed=1, epoch=2, index=3)
    assert_same_bits(on_device(augment, batch, 1, 2, 3), expected)


@pytest.mark.parametrize("before", INTEGERS + FLOATS)
def test_casts(before: str) -> None:
    images = random_array(before, (3, 20, 20), 0)
    for after in INTEGERS + FLOATS:
        augment = T.Augment([T.Cast(after)])
        expected = augment.on_host((images,), seed=0, epoch=0, index=0)
        assert_same_bits(on_device(augment, (images,), 0, 0, 0), expected)


def float_images(values: np.ndarray) -> np.ndarray:
    return values.reshape(1, 1, -1, 1)


def test_every_half_float_becomes_its_number() -> None:
    for dtype in (np.float16, ml_dtypes.bfloat16):
        halves = np.arange(2**16, dtype=np.uint16).view(dtype)
        (got,) = on_device(T.Augment([T.Cast("float32")]), (float_images(halves),), 0, 0, 0)
        assert_same_bits(got, float_images(halves.astype(np.float32)))


def test_numbers_between_two_half_floats_are_rounded_to_even() -> None:
    for name in ("float16", "bfloat16"):
        halves = np.arange(2**16, dtype=np.uint16).view(as_dtype(name)).astype(np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            middles = halves[:-1] + (halves[1:] - halves[:-1]) / np.float32(2)
            neighbours = [np.nextafter(middles, np.float32(to)) for to in (-np.inf, np.inf)]
            values = float_images(np.concatenate([halves, middles, *neighbours]))
            expected = values.astype(as_dtype(name))
        (got,) = on_device(T.Augment([T.Cast(name)]), (values,), 0, 0, 0)
        assert_same_bits(got, expected)


def test_a_short_last_batch_runs_the_same_kernel() -> None:
    augment = T.Augment([T.RandomCrop(4, 4), T.Scale(2.0)], [T.OneHot(3)], T.Mixup(1.0))
    texts = []
    for rows in (32, 7, 1):
        batch = (random_array("uint8", (rows, 6, 6, 3), rows), np.arange(rows))
        plan = augment.plan(Layout.of(batch).skeleton)
        texts.append([kernel.kernel_text(part.chain, part.mix) for part in plan.touched])
        expected = augment.on_host(batch, seed=5, epoch=0, index=9)
        assert_same_bits(on_device(augment, batch, 5, 0, 9), expected)
    assert texts[0] == texts[1] == texts[2]


def test_more_threads_than_one_block() -> None:
    augment = T.Augment([T.RandomCrop(30, 30), T.ChannelsFirst(), T.Cast("float32")])
    batch = (random_array("uint8", (9, 32, 32, 3), 0),)
    expected = augment.on_host(batch, seed=0, epoch=0, index=0)
    assert_same_bits(on_device(augment, batch, 0, 0, 0), expected)


def test_a_batch_without_samples_runs_nothing() -> None:
    augment = T.Augment([T.RandomFlip(), T.Cast("float32")], [T.OneHot(3)], T.Mixup(1.0))
    batch = (np.zeros((0, 4, 4, 3), np.uint8), np.zeros(0, int), np.zeros((0, 2)))
    got = on_device(augment, batch, 0, 0, 0)
    assert_same_bits(got, augment.on_host(batch, seed=0, epoch=0, index=0))
    assert [array.shape for array in got] == [(0, 4, 4, 3), (0, 3), (0, 2)]


def test_samples_of_more_elements_than_an_int_has_are_counted_in_64_bits() -> None:
    form = image_form((1, 2**16, 2**16, 3), np.dtype(np.uint8))
    assert "typedef i64 place;" in kernel.kernel_text(Chain.of([T.RandomFlip()], form), False)
    small = image_form((1, 2**15, 2**15, 1), np.dtype(np.uint8))
    assert "typedef i32 place;" in kernel.kernel_text(Chain.of([T.RandomFlip()], small), False)


@pytest.mark.skipif(not shutil.which("nvcc"), reason="needs nvcc")
@pytest.mark.parametrize("name", FLOATS)
def test_nvcc_compiles_kernels_without_fused_multiply_adds(name: str, tmp_path: Path) -> None:
    images = image_form((8, 32, 32, 3), np.dtype(np.uint8))
    crop, scale = T.RandomCrop(28, 28, padding=2), T.Scale([1, 2, 3], 4)
    chain = Chain.of([crop, T.RandomFlip(), scale, T.ChannelsFirst(), T.Cast(name)], images)
    source, result = tmp_path / "kernel.cu", tmp_path / "kernel"
    source.write_text(kernel.CUDA + kernel.kernel_text(chain, mix_samples=True))
    for form in ("-ptx", "-cubin"):
        flags = [*kernel.OPTIONS, "-arch=sm_90", form, "-o", str(result)]
        # The sanitizers' library, where it is preloaded, is not for the compiler.
        env = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
        done = subprocess.run(
            ["nvcc", *flags, str(source)], env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr + source.read_text()
        if form == "-ptx":
            assert "fma." not in result.read_text()
            assert "mul.rn.f32" in result.read_text()
