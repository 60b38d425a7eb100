"""Device transforms on a real GPU: CuPy's results have the bits of the NumPy twin's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastfeed.devices import transforms as T  # noqa: N812
from fastfeed.structure import ArrayLeaf, Layout, Tree, leaf_bytes, leaves, map_leaves

pytestmark = pytest.mark.gpu

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (37, 40, 45, 3), np.uint8)
LABELS = RNG.integers(-1, 11, 37)
OPS = [
    T.RandomCrop(32, 30, padding=4),
    T.RandomFlip(),
    T.Normalise([123.7, 116.3, 103.5], [58.4, 57.1, 57.4]),
    T.ChannelsFirst(),
]


def bytes_of(layout: Layout, batch: Tree) -> np.ndarray:
    """The batch as it lies in a slot."""
    slot = np.zeros(layout.data_bytes, np.uint8)
    for leaf, array in zip(leaves(layout.skeleton), leaves(batch), strict=True):
        if type(leaf) is ArrayLeaf:
            slot[leaf.offset : leaf.offset + leaf_bytes(leaf)] = array.view(np.uint8).ravel()
    return slot


def on_gpu(augment: T.Augment, batch: Tree, index: int) -> Tree:
    """The batch that `Plan.run` makes, on a stream of its own."""
    cupy = pytest.importorskip("cupy")
    layout = Layout.of(batch)
    plan = augment.plan(layout.skeleton)
    source = cupy.asarray(bytes_of(layout, batch))
    target = cupy.zeros(plan.output_bytes, cupy.uint8)
    cupy.cuda.Device().synchronize()
    with cupy.cuda.Stream(non_blocking=True) as stream:
        plan.run(source, target, 1, 2, index)
    stream.synchronize()
    result = cupy.asnumpy(target)

    def array(leaf: Any) -> Any:
        if type(leaf) is not ArrayLeaf:
            return leaf
        end = leaf.offset + leaf_bytes(leaf)
        return result[leaf.offset : end].view(leaf.dtype).reshape(leaf.shape)

    return map_leaves(array, plan.outputs)


def assert_same_bits(got: Tree, expected: Tree) -> None:
    for one, other in zip(leaves(got), leaves(expected), strict=True):
        if not isinstance(other, np.ndarray):
            assert one == other
            continue
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "uint8", "int32"])
def test_images(dtype: str) -> None:
    augment = T.Augment([*OPS, T.Cast(dtype)])
    for rows in (37, 5, 1):
        expected = augment.on_host((IMAGES[:rows],), seed=1, epoch=2, index=rows)
        assert_same_bits(on_gpu(augment, (IMAGES[:rows],), rows), expected)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_a_whole_batch(dtype: str) -> None:
    labels = [T.OneHot(10, dtype), T.Scale(0.9, 0.01)]
    augment = T.Augment([*OPS, T.Cast(dtype)], labels, T.Mixup(0.4))
    batch = (IMAGES, LABELS, {"weight": np.arange(37.0), "name": "text"})
    for index in range(5):
        expected = augment.on_host(batch, seed=1, epoch=2, index=index)
        assert_same_bits(on_gpu(augment, batch, index), expected)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "uint8", "int64", "uint64", "bool"])
def test_casts_of_random_floats(dtype: str) -> None:
    """Of infinities and subnormal numbers too. NaN has many bit patterns, so it is left out."""
    for before in (np.float32, np.float64):
        values = np.frombuffer(RNG.bytes(2**20), before)
        values = np.where(np.isnan(values), 0, values).reshape(1, 1, -1)
        augment = T.Augment([T.Cast(dtype)])
        expected = augment.on_host((values,), seed=1, epoch=2, index=0)
        assert_same_bits(on_gpu(augment, (values,), 0), expected)


def test_nothing_is_allocated_once_the_kernels_are_there() -> None:
    cupy = pytest.importorskip("cupy")
    augment = T.Augment([*OPS, T.Cast("float16")], [T.OneHot(10)], T.Mixup(0.4))
    layout = Layout.of((IMAGES, LABELS, np.arange(3.0)))
    plan = augment.plan(layout.skeleton)
    source, target = cupy.zeros(layout.data_bytes, "u1"), cupy.zeros(plan.output_bytes, "u1")
    plan.run(source, target, 0, 0, 0)

    class Allocations(cupy.cuda.MemoryHook):
        seen = 0

        def malloc_preprocess(self, **asked: Any) -> None:
            self.seen += 1

    with Allocations() as allocations:
        cupy.zeros(1)
        assert allocations.seen == 1
        for index in range(10):
            plan.run(source, target, 0, 0, index)
    assert allocations.seen == 1
    cupy.cuda.Device().synchronize()
