"""Streams of frameworks, and where their arrays lie: what `Loader.record_stream` asks about."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastfeed.errors import ArgumentError
from fastfeed.structure import Tree, leaves

LEGACY_STREAM = 1
"""DLPack's number for the default stream, whose handle in CUDA is 0."""


def handle_of(stream: Any) -> int:
    """Return the handle of a stream: of CuPy's, of PyTorch's, or a number.

    Raises
    ------
    ArgumentError
        It is none of these.
    """
    for name in ("ptr", "cuda_stream", "handle"):
        stream = getattr(stream, name, stream)
    if not hasattr(stream, "__index__") or isinstance(stream, bool) or int(stream) < 0:
        raise ArgumentError(
            "stream must be a stream of CuPy's or PyTorch's, or the number of a CUDA stream.",
            repr(stream),
        )
    return int(stream) or LEGACY_STREAM


def pointers_of(batch: Tree) -> Iterator[int]:
    """Yield where the arrays of a batch start that lie on a device."""
    for leaf in leaves(batch):
        pointer = pointer_of(leaf)
        if pointer:
            yield pointer


def pointer_of(array: Any) -> int:
    """Return where an array starts on the device; 0 for anything else."""
    if hasattr(array, "data_ptr"):  # PyTorch
        return int(array.data_ptr()) if array.is_cuda else 0
    if hasattr(array, "unsafe_buffer_pointer"):  # JAX
        return int(array.unsafe_buffer_pointer())
    interface = getattr(array, "__cuda_array_interface__", None)
    return int(interface["data"][0]) if interface else 0
