"""Pickles on their way from a worker to the parent."""

from __future__ import annotations

import pickle
from typing import Any

import cloudpickle


def dumps(value: Any) -> bytes:
    """Pickle a value; what plain pickle refuses goes by value, as the source came.

    A worker has no ``__main__`` of the user's, so pickle cannot name the classes of a script.
    cloudpickle sends such a class along, and the parent recognises it as its own.

    Raises
    ------
    Exception
        If neither can.
    """
    try:
        return pickle.dumps(value, protocol=5)
    except Exception:
        pickled: bytes = cloudpickle.dumps(value, protocol=5)
        return pickled
