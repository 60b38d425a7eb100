"""What the tests of tf_keras models share. They feed the same sources as those of Keras 3."""

import os
import sys
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[1] / "keras"))

import keras_models

tf_keras = pytest.importorskip("tf_keras")


@pytest.fixture(autouse=True)
def tf_keras_lets_go():
    """Have tf_keras drop what it keeps of a model, before it is counted what was left behind."""
    yield
    tf_keras.backend.clear_session()


@pytest.fixture
def make_model():
    """Return a function that builds the same small classifier each time."""

    def build(metrics=("accuracy",), loss="mse", **compile_options):
        tf_keras.utils.set_random_seed(7)
        layers = [tf_keras.layers.Dense(8, "relu"), tf_keras.layers.Dense(3, "softmax")]
        model = tf_keras.Sequential([tf_keras.Input((4,)), *layers])
        model.compile("adam", loss, metrics=list(metrics), **compile_options)
        return model

    return build


@pytest.fixture
def recorder():
    return keras_models.recorder(tf_keras)
