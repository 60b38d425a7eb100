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

if TYPE_CHECKING:
    from fastfeed import files, keras
    from fastfeed.copying import copyto
    from fastfeed.errors import FastFeedError
    from fastfeed.imaging.api import images
    from fastfeed.keras import evaluate_generator, fit_generator, predict_generator
    from fastfeed.loader import Loader
    from fastfeed.sources.mapped import generator
    from fastfeed.structure import ArraySpec
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
    "keras",
    "predict_generator",
    "tune",
]


HOMES = {
    "ArraySpec": "fastfeed.structure",
    "FastFeedError": "fastfeed.errors",
    "Loader": "fastfeed.loader",
    "copyto": "fastfeed.copying",
    "evaluate_generator": "fastfeed.keras",
    "fit_generator": "fastfeed.keras",
    "generator": "fastfeed.sources.mapped",
    "images": "fastfeed.imaging.api",
    "predict_generator": "fastfeed.keras",
    "tune": "fastfeed.tuning.tune",
}
"""Where each name is imported from when it is first asked for. The fork server needs none of them:
to import them all would take it as long as NumPy does, before the first worker can start.
"""
PACKAGES = ("devices", "errors", "files", "keras")
"""What can be reached by ``import fastfeed`` alone."""


def __getattr__(name: str) -> Any:
    """Import a name of `HOMES` or a package, and keep it."""
    if name in HOMES:
        value = getattr(import_module(HOMES[name]), name)
    elif name in PACKAGES:
        value = import_module(f"fastfeed.{name}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *HOMES, *PACKAGES})
