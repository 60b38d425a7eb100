"""fastfeed feeds training loops from worker processes through a native lock-free ring.

>>> import fastfeed
>>> with fastfeed.Loader(source, workers=4) as loader:  # doctest: +SKIP
...     for x, y in loader:
...         step(x, y)

``fastfeed.fit_generator(model, generator, ...)`` trains a Keras model, ``fastfeed.images``,
``fastfeed.files`` and ``fastfeed.generator`` make sources, and ``fastfeed.tune(source, step)``
finds how many workers a job needs. Importing fastfeed imports neither TensorFlow, PyTorch,
JAX, CuPy nor Keras.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fastfeed import files
from fastfeed.copying import copyto
from fastfeed.errors import FastFeedError
from fastfeed.keras import evaluate_generator, fit_generator, predict_generator
from fastfeed.loader import Loader
from fastfeed.sources.mapped import generator
from fastfeed.structure import ArraySpec

if TYPE_CHECKING:
    from fastfeed.imaging.api import images
    from fastfeed.tuning.tune import tune

__version__ = "0.1.0"
__all__ = [
    "ArraySpec",
    "FastFeedError",
    "Loader",
    "__version__",
    "copyto",
    "evaluate_generator",
    "files",
    "fit_generator",
    "generator",
    "images",
    "predict_generator",
    "tune",
]


LATE = {"images": "fastfeed.imaging.api", "tune": "fastfeed.tuning.tune"}
"""What workers never need: each of them would pay for it."""


def __getattr__(name: str) -> Any:
    """Import what is in `LATE` when it is first asked for."""
    if name not in LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(LATE[name]), name)
