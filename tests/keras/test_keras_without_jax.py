"""Keras's NumPy backend, which workers have, needs JAX: without it they have the parent's."""

from docs_pages import printed_by

HIDE_JAX = """
from importlib.machinery import PathFinder

find_spec = PathFinder.find_spec
PathFinder.find_spec = classmethod(
    lambda cls, name, *rest: None if name.partition(".")[0] == "jax" else find_spec(name, *rest)
)
"""
"""Python imports this as `sitecustomize` before anything else, in every process of the script."""

SCRIPT = """
import importlib.util

import keras
import numpy as np

import fastfeed


class Backends(keras.utils.Sequence):
    def __len__(self):
        return 3

    def __getitem__(self, index):
        return [keras.backend.backend()]


assert importlib.util.find_spec("jax") is None
with fastfeed.Loader(Backends(), workers=2) as loader:
    print(list(loader))
"""


def test_a_sequence_is_fed_by_processes_on_the_parents_backend(tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text(HIDE_JAX)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("KERAS_BACKEND", "torch")  # which is imported in half of TensorFlow's time
    assert printed_by(SCRIPT, tmp_path) == "[['torch'], ['torch'], ['torch']]\n"
