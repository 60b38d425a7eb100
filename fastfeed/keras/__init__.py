"""Keras: train, evaluate and predict from a Loader.

Importing this package does not import Keras; using it does.
"""

from fastfeed.keras.adapter import adapter
from fastfeed.keras.checkpoint import LoaderCheckpoint
from fastfeed.keras.fit import evaluate_generator, fit_generator, predict_generator
from fastfeed.keras.monitor import Monitor

__all__ = [
    "LoaderCheckpoint",
    "Monitor",
    "adapter",
    "evaluate_generator",
    "fit_generator",
    "predict_generator",
]
