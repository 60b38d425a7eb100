"""Applies a transform to batches on a GPU, on a stream of its own.

The results go into buffers of ours, under the same leases as uploads: so they too are written again
only when everybody who was given them is done, whichever framework that is.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from fastfeed._core import Device, DeviceLease, Pool
from fastfeed.devices.arrays import check_cupy
from fastfeed.devices.handover import DLPACK_TYPES
from fastfeed.devices.transforms import Augment
from fastfeed.devices.uploads import HANDED_OUT, PATIENCE_S
from fastfeed.errors import ArgumentError, DeviceError, SourceError
from fastfeed.structure import ArrayLeaf, ArraySpec, Layout, Tree, is_leaf, leaves, map_leaves

SETTLED_TOGETHER = 6
"""Buffers for results that are used anywhere: one wait for the GPU serves all that are free, and
here the training thread waits."""

DeviceTransform = Augment | Callable[[Tree], Tree]
"""An `Augment`, or any function of a tree of CuPy arrays."""


class Transforming:
    """Applies one transform to the batches of one loader.

    Parameters
    ----------
    transform : Augment or callable
        A callable gets the batch as a tree of CuPy arrays, with CuPy's current stream set, and
        returns another; its results are copied once more on the GPU.
    seed : int
        For the random numbers of an `Augment`.
    fixed : bool
        Results at the same addresses for ever.
    anywhere : bool
        Results are given to a framework that does not tell its streams.

    Raises
    ------
    ArgumentError
        CuPy is not installed, or `transform` is nothing that could be called.
    """

    def __init__(
        self, transform: DeviceTransform, device: Device, seed: int, fixed: bool, anywhere: bool
    ) -> None:
        if not callable(transform) and not isinstance(transform, Augment):
            raise ArgumentError(
                "device_transform must be a fastfeed.devices.transforms.Augment, or a function "
                "that takes a batch of CuPy arrays and returns one.",
                repr(transform),
            )
        self._cupy = import_cupy()
        self._transform = transform
        self._seed = seed
        self._ordinal = device.ordinal
        self._pool = Pool(device, SETTLED_TOGETHER if anywhere and not fixed else HANDED_OUT, fixed)
        with self._cupy.cuda.Device(self._ordinal):
            self._stream = self._cupy.cuda.Stream(non_blocking=True)
        self._planned: tuple[Tree, Any] | None = None

    def __call__(self, lease: DeviceLease, skeleton: Tree) -> tuple[DeviceLease, Tree]:
        """Return where the results lie, and their skeleton."""
        with self._cupy.cuda.Device(self._ordinal), self._stream:
            lease.hand_to(self._stream.ptr)
            if isinstance(self._transform, Augment):
                return self._augmented(lease, skeleton)
            return self._called(lease, skeleton)

    def find(self, pointer: int) -> DeviceLease | None:
        """Return a lease more on the buffer that a result lies in."""
        return self._pool.find(pointer)

    def _augmented(self, lease: DeviceLease, skeleton: Tree) -> tuple[DeviceLease, Tree]:
        plan = self._plan(skeleton)
        result = self._take(plan.output_bytes)
        plan.run(self._bytes(lease), self._bytes(result), self._seed, lease.epoch, lease.index)
        result.written_by(self._stream.ptr)
        return result, plan.outputs

    def _plan(self, skeleton: Tree) -> Any:
        """Return the plan for a skeleton, which nearly always is the last one's."""
        if self._planned is None or self._planned[0] is not skeleton:
            self._planned = skeleton, self._transform.plan(skeleton)  # type: ignore[union-attr]
        return self._planned[1]

    def _called(self, lease: DeviceLease, skeleton: Tree) -> tuple[DeviceLease, Tree]:
        made = self._transform(map_leaves(self._array_of(lease), skeleton))  # type: ignore[operator]
        layout = Layout.of(map_leaves(self._spec_of, made))
        result = self._take(layout.data_bytes)
        arrays = (array for array in leaves(made) if isinstance(array, self._cupy.ndarray))
        for array, leaf in zip(arrays, filter(is_leaf, leaves(layout.skeleton)), strict=True):
            self._array_of(result)(leaf)[...] = array
        result.written_by(self._stream.ptr)
        return result, layout.skeleton

    def _spec_of(self, leaf: Any) -> Any:
        """Return what an array needs room for; other objects as they are."""
        if isinstance(leaf, self._cupy.ndarray):
            return ArraySpec(tuple(leaf.shape), leaf.dtype)
        if hasattr(leaf, "__dlpack__"):  # NumPy's, or another framework's
            raise SourceError(
                "A device_transform must return arrays of CuPy's: make them with cupy.asarray. "
                f"Received: {type(leaf)}"
            )
        return leaf

    def _array_of(self, lease: DeviceLease) -> Callable[[Any], Any]:
        """Return what makes CuPy's arrays of the leaves that lie in a buffer."""
        whole = self._bytes(lease)

        def array(leaf: Any) -> Any:
            if not isinstance(leaf, ArrayLeaf):
                return leaf
            if leaf.dtype.name not in DLPACK_TYPES or not leaf.dtype.isnative:
                raise SourceError(
                    f"A device_transform takes arrays that a GPU knows, and not {leaf.dtype}: "
                    "leave them out of the batch."
                )
            return self._cupy.ndarray(leaf.shape, leaf.dtype, whole.data + leaf.offset)

        return array

    def _bytes(self, lease: DeviceLease) -> Any:
        """Return a whole buffer as a CuPy array, which keeps it."""
        memory = self._cupy.cuda.UnownedMemory(lease.pointer, len(lease), lease, self._ordinal)
        pointer = self._cupy.cuda.MemoryPointer(memory, 0)
        return self._cupy.ndarray((len(lease),), "uint8", pointer)

    def _take(self, n_bytes: int) -> DeviceLease:
        """Return a buffer for the results, which this stream may write to.

        Raises
        ------
        DeviceError
            The fixed one whose turn it is does not become free.
        """
        begin = time.monotonic()
        while (result := self._pool.take(n_bytes, self._stream.ptr)) is None:
            if time.monotonic() - begin > PATIENCE_S:
                raise DeviceError(
                    f"With stable_addresses {HANDED_OUT} transformed batches may be in use at a "
                    f"time, and both are still referenced, for {PATIENCE_S:g} s now. Drop each "
                    "batch before you ask for the one after the next."
                )
            time.sleep(0.001)
        return result


def import_cupy() -> Any:
    """Import CuPy, which runs the transforms.

    Raises
    ------
    ArgumentError
        It is not installed.
    """
    try:
        import cupy
    except ImportError as error:
        raise ArgumentError(
            f"device_transform needs CuPy, which cannot be imported here ({error}). Install it: "
            "pip install 'fastfeed[cuda13]', or [cuda12] for an older driver."
        ) from error
    check_cupy(cupy)
    return cupy
