"""Whether the batches that a loader delivers are those of the source: number, bytes, contents."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastfeed.errors import FastFeedError


class WrongBatches(FastFeedError, ValueError):
    """A loader delivered other batches than the source has."""


@dataclass(frozen=True)
class Expected:
    """What the first batches must be.

    Parameters
    ----------
    nbytes : tuple of int
        Of each batch.
    checksums : tuple of int
        CRC-32 of each batch; empty where the source gives other contents at each call.
    """

    nbytes: tuple[int, ...]
    checksums: tuple[int, ...] = ()


def leaves(batch: Any) -> list[np.ndarray]:
    """Return a batch's arrays, dicts in the order of their keys; nothing is copied."""
    if isinstance(batch, Mapping):
        return [leaf for key in sorted(batch, key=str) for leaf in leaves(batch[key])]
    if isinstance(batch, (tuple, list)):
        return [leaf for part in batch for leaf in leaves(part)]
    return [] if batch is None else [np.asarray(batch)]


def checksum(arrays: Iterable[np.ndarray]) -> int:
    """Return the CRC-32 of the bytes of arrays, one after the other."""
    value = 0
    for array in arrays:
        value = zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8), value)
    return value


def check(number: int, batch: Any, expected: Expected) -> None:
    """Compare one batch.

    Raises
    ------
    WrongBatches
        It is not batch `number` of the source.
    """
    arrays = leaves(batch)
    nbytes = sum(array.nbytes for array in arrays)
    if nbytes != expected.nbytes[number]:
        raise WrongBatches(
            f"batch {number} has {nbytes:,} bytes in place of {expected.nbytes[number]:,}"
        )
    if expected.checksums and checksum(arrays) != expected.checksums[number]:
        raise WrongBatches(f"batch {number} has other contents than the source gives")
