"""What tells one source's data from another's."""

from __future__ import annotations

import hashlib
from typing import Any

from fastfeed.structure import Tree, describe, leaves

ROWS, VALUES = 64, 256
"""So many rows of an array are looked at, and so many values of each."""


def identity_of(source: Any) -> str:
    """Return the source's own ``fingerprint``, a text or a method, or else the name of its class.

    The latter does not see other data in the same class: who keeps state or samples beyond a run
    gives the source a fingerprint.
    """
    own = getattr(source, "fingerprint", None)
    if own is not None:
        return str(own() if callable(own) else own)
    kind = type(source)
    return f"{kind.__module__}.{kind.__qualname__}"


def identity_of_arrays(arrays: Tree) -> str:
    """Return the looks of arrays of the same length, and a hash of some of their rows: what can be
    had at once, however large they are.
    """
    digest = hashlib.blake2b(digest_size=8)
    for array in leaves(arrays):
        for row in sorted({len(array) * part // ROWS for part in range(ROWS)} | {len(array) - 1}):
            digest.update(array[row : row + 1].reshape(-1)[:VALUES].tobytes())
    return f"{describe(arrays)}, {digest.hexdigest()}"
