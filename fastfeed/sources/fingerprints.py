"""What tells one source's data from another's."""

from __future__ import annotations

from typing import Any


def fingerprint_of(source: Any, length: int) -> str:
    """Return the source's own ``fingerprint()``, or else its class and length.

    The latter does not see other data of the same length: who keeps state or samples beyond a run
    gives the source such a method.
    """
    own = getattr(source, "fingerprint", None)
    if callable(own):
        return f"{own()} ({length})"
    kind = type(source)
    return f"{kind.__module__}.{kind.__qualname__} of {length}"
