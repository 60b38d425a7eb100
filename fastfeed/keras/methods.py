"""Gives models the methods back that they had in Keras 1 and 2.

``import fastfeed.keras.methods``, after Keras, adds ``fit_generator``, ``evaluate_generator`` and
``predict_generator`` to the models of Keras 3 and of ``tf_keras``, whichever is imported by then.
The calls of an old script stay as they are: ``model.fit_generator(...)``.
"""

from __future__ import annotations

import importlib
import sys

from fastfeed.keras.fit import evaluate_generator, fit_generator, predict_generator

_HOSTS = [name for name in ("keras", "tf_keras") if name in sys.modules] or ["keras"]

for _host in map(importlib.import_module, _HOSTS):
    for _function in (fit_generator, evaluate_generator, predict_generator):
        setattr(_host.Model, _function.__name__, _function)
