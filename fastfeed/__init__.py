"""fastfeed feeds training loops from worker processes through a native lock-free ring.

>>> import fastfeed
>>> with fastfeed.Loader(source, workers=4) as loader:  # doctest: +SKIP
...     for x, y in loader:
...         step(x, y)

``fastfeed.fit_generator(model, generator, ...)`` trains a Keras model, and ``fastfeed.tune(source,
step)`` finds how many workers it needs. Importing fastfeed imports neither TensorFlow, PyTorch,
JAX, CuPy nor Keras.
"""

from fastfeed.copying import copyto
from fastfeed.errors import FastFeedError
from fastfeed.keras import evaluate_generator, fit_generator, predict_generator
from fastfeed.loader import Loader
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
    "fit_generator",
    "predict_generator",
    "tune",
]
