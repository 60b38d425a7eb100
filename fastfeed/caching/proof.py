"""Whether a sample from a cache on disk is what the source gives now.

A fingerprint can be forgotten, a file cannot tell that the code changed: so every process makes its
first samples anew and compares.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastfeed.errors import CacheError
from fastfeed.structure import Tree, as_leaf, describe, is_array, leaves, map_leaves

SAMPLES = 2
"""That each process compares."""
CLOSE = 0.01
"""Of the largest value: other processors round otherwise, other data differ by more."""


def compare(kept: Tree, made: Tree, row: int, folder: str) -> None:
    """Compare sample `row` of a cache with the same one made anew.

    Raises
    ------
    CacheError
        If they differ.
    """
    made = map_leaves(as_leaf, made)
    shown = describe(kept), describe(made)
    if shown[0] == shown[1] and all(map(is_close, leaves(kept), leaves(made))):
        return
    how = f"{shown[0]} and not {shown[1]}" if shown[0] != shown[1] else "with other values"
    raise CacheError(
        f"The cache in {folder} holds another sample {row} than the source gives now: {how}. The "
        "data, or the code that makes a sample, has changed since; or chance has a part in it, "
        "which belongs into transform=..., behind the cache. Then delete the folder, or give "
        "another."
    )


def is_close(kept: Any, made: Any) -> bool:
    """Tell whether two leaves are the same but for rounding; objects are not looked into."""
    if not (is_array(kept) and is_array(made)):
        return True
    if kept.dtype.kind not in "uif":
        return bool(kept.tobytes() == made.tobytes())
    one, other = kept.astype(np.float64), made.astype(np.float64)
    most = CLOSE * np.max(np.abs(one), initial=0, where=np.isfinite(one))
    return bool(np.allclose(one, other, rtol=0, atol=most, equal_nan=True))
