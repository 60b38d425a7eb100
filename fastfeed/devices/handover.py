"""Hands a slot's arrays over to a framework without a copy.

NumPy gets views whose base is the lease. The others get DLPack capsules of which each is a user of
the slot with a deleter in plain C. So a slot is free again exactly when the framework is done with
it, and no earlier: "valid until the next batch" would be wrong, because JAX and TensorFlow still
read a batch after the call that was given it has returned.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from fastfeed._core import Lease, views
from fastfeed.errors import ArgumentError
from fastfeed.structure import ArrayLeaf, Tree, children_of, rebuild

FRAMEWORKS = ("numpy", "torch", "tensorflow", "jax")

Convert = Callable[[Any, ArrayLeaf], Any]
HandOver = Callable[[Any, Tree], Tree]
"""Of a lease, in host memory or on a device, and a skeleton."""


def dlpack_types() -> dict[str, tuple[int, int]]:
    """Return DLPack's (code, bits) by NumPy dtype name."""
    types = {"bool": (6, 8), "bfloat16": (4, 16)}
    for code, kind, sizes in (
        (0, "int", (8, 16, 32, 64)),
        (1, "uint", (8, 16, 32, 64)),
        (2, "float", (16, 32, 64)),
        (5, "complex", (64, 128)),
    ):
        types.update({f"{kind}{bits}": (code, bits) for bits in sizes})
    return types


DLPACK_TYPES = dlpack_types()


def hand_over_to(framework: str) -> HandOver:
    """Return the function that makes a framework's batch of a lease and its skeleton.

    Raises
    ------
    ArgumentError
        If the framework is unknown or not installed.
    """
    if framework == "cupy":
        raise ArgumentError(
            'CuPy has arrays on GPUs only: add device="cuda", or choose another framework.',
            f"framework={framework!r}",
        )
    if framework not in FRAMEWORKS:
        raise ArgumentError(
            f"framework must be one of {', '.join(map(repr, FRAMEWORKS))}.",
            f"framework={framework!r}",
        )
    if framework == "numpy":
        return numpy_views
    import_tensor = import_framework(framework, IMPORTERS)
    return functools.partial(convert_leaves, through_dlpack(import_tensor))


def import_framework(
    framework: str, importers: Mapping[str, Callable[[], Callable[[Any], Any]]]
) -> Callable[[Any], Any]:
    """Import a framework; return its function that takes a DLPack tensor.

    Raises
    ------
    ArgumentError
        It is not installed.
    """
    try:
        return importers[framework]()
    except ImportError as error:
        extra = "cuda13" if framework == "cupy" else framework
        raise ArgumentError(
            f"framework={framework!r} needs a package that cannot be imported here ({error}). "
            f"Install it, for example: pip install 'fastfeed[{extra}]'.",
            f"framework={framework!r}",
        ) from error


def numpy_views(lease: Lease, skeleton: Tree) -> Tree:
    """Return a batch, or one leaf of it, as arrays over the slot; the arrays keep the lease."""
    return views(lease, 0, skeleton, ArrayLeaf)


def through_dlpack(import_tensor: Callable[[Any], Any]) -> Convert:
    """Return a converter that gives DLPack tensors to `import_tensor`."""

    def convert(lease: Lease, leaf: ArrayLeaf) -> Any:
        dtype = DLPACK_TYPES.get(leaf.dtype.name)
        if dtype is None:  # texts, dates, structures: no framework has them
            return numpy_views(lease, leaf)
        if not leaf.dtype.isnative:  # nor the other byte order, so this is the one copy made here
            return import_tensor(numpy_views(lease, leaf).astype(leaf.dtype.newbyteorder("=")))
        return import_tensor(lease.tensor(leaf.offset, dtype, leaf.shape))

    return convert


def torch_importer() -> Callable[[Any], Any]:
    """Import PyTorch, which takes a bare capsule in half the time of an object that makes one."""
    import torch

    from_dlpack = torch.utils.dlpack.from_dlpack
    return lambda tensor: from_dlpack(tensor.__dlpack__())


def tensorflow_importer() -> Callable[[Any], Any]:
    """Import TensorFlow, whose function takes the bare capsule."""
    import tensorflow as tf

    from_dlpack = tf.experimental.dlpack.from_dlpack
    return lambda tensor: from_dlpack(tensor.__dlpack__())


def jax_importer() -> Callable[[Any], Any]:
    """Import JAX.

    Its from_dlpack commits an array to its device, and a jitted step's results with it, so the step
    would be compiled anew for its own results. Arrays of NumPy, which JAX users know, do not.
    """
    import jax

    from_dlpack: Callable[[Any], Any] = jax.dlpack.from_dlpack
    try:
        from jax._src.array import ArrayImpl
    except ImportError:  # it is private; without it steps are compiled once or twice more
        return from_dlpack

    def uncommitted(tensor: Any) -> Any:
        array = from_dlpack(tensor)
        return ArrayImpl(array.aval, array.sharding, [array], committed=False, _skip_checks=True)

    return uncommitted


IMPORTERS: dict[str, Callable[[], Callable[[Any], Any]]] = {
    "torch": torch_importer,
    "tensorflow": tensorflow_importer,
    "jax": jax_importer,
}


def convert_leaves(convert: Convert, lease: Any, skeleton: Tree) -> Tree:
    """Return the batch: the skeleton with a tensor in the place of each array leaf."""
    if type(skeleton) is ArrayLeaf:
        return convert(lease, skeleton)
    children = children_of(skeleton)
    if children is None:
        return skeleton
    return rebuild(skeleton, [convert_leaves(convert, lease, child) for child in children])


def copy_out(lease: Lease, n_bytes: int, private: Callable[[int], Lease]) -> Lease:
    """Return a lease on ordinary memory with the same bytes, so that the slot can go."""
    copied = private(max(n_bytes, 1))
    copied.copy_in(0, memoryview(lease)[:n_bytes])
    return copied
