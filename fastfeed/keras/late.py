"""Callbacks whose base class, Keras's, is imported when the first one is made."""

from __future__ import annotations

from functools import cache
from typing import Any, Self, cast

from fastfeed.errors import UnsupportedHost


class LateCallback:
    """Base of callbacks for training: makes each a callback of the Keras that is installed.

    Raises
    ------
    UnsupportedHost
        Neither Keras nor ``tf_keras`` is installed.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Make it a callback too."""
        made: Self = super().__new__(_callback(cast(Any, cls)))
        return made  # and Python calls its __init__

    # tf_keras asks its callbacks, and those of Keras 3 have no answer.

    def _implements_train_batch_hooks(self) -> bool:
        return True

    def _implements_test_batch_hooks(self) -> bool:
        return False

    def _implements_predict_batch_hooks(self) -> bool:
        return False


@cache
def _callback(callback: Any) -> Any:
    """Define the class that is Keras's too."""
    return type(callback.__name__, (callback, _callback_class()), {"__doc__": callback.__doc__})


def _callback_class() -> Any:
    """Return the base class of callbacks of Keras 3, or of ``tf_keras`` where there is no other.

    ``tf_keras`` takes either.
    """
    try:
        from keras.callbacks import Callback
    except ImportError:
        try:
            from tf_keras.callbacks import Callback
        except ImportError:
            raise UnsupportedHost(
                'Keras is not installed. Install it with: pip install "fastfeed[tensorflow]"'
            ) from None
    return Callback
