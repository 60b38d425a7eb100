"""What the tests of tf_keras models share. They feed the same sources as those of Keras 3."""

import os
import sys
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[1] / "keras"))

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


class Recorder(tf_keras.Model):
    """Notes the number of each batch that a training or test step really got."""

    def __init__(self):
        super().__init__()
        self.dense = tf_keras.layers.Dense(3)
        self.trained = []
        self.tested = []

    def call(self, x):
        return self.dense(x)

    def train_step(self, data):
        self.trained.append(int(data[0][0, 0]))
        return super().train_step(data)

    def test_step(self, data):
        self.tested.append(int(data[0][0, 0]))
        return super().test_step(data)


@pytest.fixture
def recorder():
    model = Recorder()
    model.compile("sgd", "mse", run_eagerly=True)
    return model
