"""Finds what a user's own ``fit`` with an adapter would leave out without a word.

Keras hands a data adapter back before it looks at ``y`` or ``class_weight``, and tells the adapter
nothing of them: the model would be trained on something else than the call says. The only place
where they can be seen is the frame of that call.
"""

from __future__ import annotations

import sys
from typing import Any

from fastfeed.errors import ArgumentError

FUNCTIONS = ("fit", "evaluate", "predict")
CURES = {
    "y": "Let each batch of the source have its labels: (x, y).",
    "sample_weight": "Let each batch of the source have its weights: (x, y, sample_weight).",
    "batch_size": "Give batch_size to fastfeed.Loader(...).",
    "class_weight": "Give class_weight to fastfeed.keras.adapter(...).",
}
"""Without ``shuffle``, which is True in a call that does not name it."""


def refuse_ignored_arguments(adapter: Any) -> None:
    """Raise if the call of Keras that reads `adapter` has an argument with no effect.

    Raises
    ------
    ArgumentError
        Naming it, and where it belongs.
    """
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name in FUNCTIONS and frame.f_locals.get("x") is adapter:
            _check(frame.f_code.co_name, frame.f_locals)
            return
        frame = frame.f_back  # type: ignore[assignment]


def _check(function: str, arguments: dict[str, Any]) -> None:
    for name, cure in CURES.items():
        value = arguments.get(name)
        if value is not None:
            raise ArgumentError(
                f"Keras ignores {name} where {function}() reads an adapter. {cure}",
                f"{name}={value!r:.60}",
            )
