"""fastfeed feeds training loops from worker processes through a native lock-free ring.

>>> import fastfeed
>>> with fastfeed.Loader(source, workers=4) as loader:  # doctest: +SKIP
...     for x, y in loader:
...         step(x, y)

``fastfeed.fit_generator(model, generator, ...)`` trains a Keras model, and ``fastfeed.tune(source,
step)`` finds how many workers it needs. Importing fastfeed imports neither TensorFlow, PyTorch,
JAX, CuPy nor Keras.
"""

from typing import TYPE_CHECKING, Any

from fastfeed.copying import copyto
from fastfeed.errors import FastFeedError
from fastfeed.keras import evaluate_generator, fit_generator, predict_generator
from fastfeed.loader import Loader
from fastfeed.structure import ArraySpec

if TYPE_CHECKING:
    from fastfeed.tuning.tune import tune

__version__ = "0.1.0"
__all__ = [
    "ArraySpec",
    "FastFeedError",
    "Loader",
    "__version__",
    "copyto",
    "evaluate_generator",
    "fit_generator",
    "predict_generator",
    "tune",
]


def __getattr__(name: str) -> Any:
    """Import what workers never need when it is first asked for: each of them pays for the rest."""
    if name != "tune":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fastfeed.tuning.tune import tune

    return tune
