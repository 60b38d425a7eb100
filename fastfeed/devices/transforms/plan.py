"""What an `Augment` does to batches that look alike: checked once, then run batch by batch."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from fastfeed.devices.transforms.draws import Draws, batch_key
from fastfeed.devices.transforms.kernel import THREADS, compiled, kernel_text
from fastfeed.devices.transforms.mixup import Mixing, Mixup, mixed
from fastfeed.devices.transforms.op import Chain
from fastfeed.structure import ArrayLeaf, Tree, leaf_bytes

Path = tuple[Hashable, ...]
"""The way to a leaf of a batch: a key or a position for each container."""

ALIGNMENT = 256
"""Every result starts at a multiple of this, as all that CUDA itself allocates."""

UNMIXED = Mixing(1.0, 0.0, 0)


def aligned(n_bytes: int) -> int:
    """Round up to the next multiple of `ALIGNMENT`."""
    return -(-n_bytes // ALIGNMENT) * ALIGNMENT


@dataclass(frozen=True)
class Touched:
    """An array that ops or mixup change.

    Attributes
    ----------
    path : tuple
        Where it is in the batch.
    source, target : ArrayLeaf
        Where it lies in the input's and in the output's buffer.
    chain : Chain
        Its ops.
    mix : bool
        Whether samples are mixed after that.
    """

    path: Path
    source: ArrayLeaf
    target: ArrayLeaf
    chain: Chain
    mix: bool

    @cached_property
    def kernel(self) -> Any:
        """The array's kernel."""
        return compiled(kernel_text(self.chain, self.mix))

    def launch(self, source: int, target: int, key: int, mixing: Mixing) -> None:
        """Launch the kernel on CuPy's current stream; `source` and `target` are addresses."""
        elements = prod(self.target.shape)
        if not elements:
            return
        arguments = (
            np.uint64(source + self.source.offset),
            np.uint64(target + self.target.offset),
            np.uint64(key),
            np.int64(self.source.shape[0]),
            np.float64(mixing.own),
            np.float64(mixing.other),
            np.int64(mixing.shift),
        )
        self.kernel((-(-elements // THREADS),), (THREADS,), arguments)

    def on_host(self, array: np.ndarray, key: int, mixing: Mixing) -> np.ndarray:
        """Return what the kernel gives, with NumPy."""
        # A kernel is silent about overflows and NaN as well.
        with np.errstate(all="ignore"):
            array = self.chain.on_host(array, Draws(key, len(array)))
            return np.ascontiguousarray(mixed(array, mixing) if self.mix else array)


@dataclass(frozen=True)
class Plan:
    """The work of an `Augment` for batches of one skeleton. Made by `Augment.plan`.

    Attributes
    ----------
    outputs : tree
        The skeleton of the results: the input's tree, with each array's new place, shape and dtype.
    output_bytes : int
        Bytes of the output buffer.
    copies : tuple of (ArrayLeaf, ArrayLeaf)
        Arrays that no op touches: where they lie in the input and in the output. `run` copies them.
    touched : tuple of Touched
        The others: `run` launches one kernel for each.
    mixup : Mixup or None
    """

    outputs: Tree
    output_bytes: int
    copies: tuple[tuple[ArrayLeaf, ArrayLeaf], ...]
    touched: tuple[Touched, ...]
    mixup: Mixup | None

    def run(self, source: Any, target: Any, seed: int, epoch: int, index: int) -> None:
        """Enqueue the whole batch on CuPy's current stream. The host does not wait, and nothing is
        allocated, but the first launch of a kernel compiles and loads it.

        Parameters
        ----------
        source, target : cupy.ndarray
            The whole input and the whole output buffer: uint8, 1-D, on the current device, starting
            at multiples of 256, without overlap.
        seed, epoch, index : int
            Of the batch: its random numbers follow from them.
        """
        for taken, given in self.copies:
            if n_bytes := leaf_bytes(taken):
                destination = target.data + given.offset
                destination.copy_from_device_async(source.data + taken.offset, n_bytes)
        key = batch_key(seed, epoch, index)
        mixing = self.mixing(key)
        for part in self.touched:
            part.launch(source.data.ptr, target.data.ptr, key, mixing)

    def on_host(
        self, arrays: dict[Path, np.ndarray], seed: int, epoch: int, index: int
    ) -> dict[Path, np.ndarray]:
        """Return the results of the touched arrays, by their paths, with NumPy."""
        key = batch_key(seed, epoch, index)
        mixing = self.mixing(key)
        return {part.path: part.on_host(arrays[part.path], key, mixing) for part in self.touched}

    def mixing(self, key: int) -> Mixing:
        """Return how the batch of `key` is mixed."""
        # `Augment.plan` has seen that all mixed arrays have as many samples.
        samples = self.touched[0].source.shape[0] if self.touched else 0
        return self.mixup.draw(key, samples) if self.mixup else UNMIXED
