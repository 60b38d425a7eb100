"""What the tests of fastfeed.keras share. They run real fits, on one of Keras's backends: a
process has one, so `make test` runs them once with each KERAS_BACKEND.
"""

import os

import pytest

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

keras = pytest.importorskip("keras")

if os.environ["KERAS_BACKEND"] != "tensorflow":  # these choose their backends, or need none
    collect_ignore = [
        f"test_keras_{name}.py" for name in ("docs", "images", "memory", "tutorials", "weights")
    ]


@pytest.fixture(autouse=True)
def keras_lets_go():
    """Have Keras drop what it keeps of a model, before it is counted what was left behind."""
    yield
    keras.backend.clear_session()


@pytest.fixture
def make_model():
    """Return a function that builds the same small classifier each time."""

    def build(metrics=(), loss="mse", **compile_options):
        keras.utils.set_random_seed(7)
        model = keras.Sequential(
            [keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3, "softmax")]
        )
        model.compile("adam", loss, metrics=list(metrics), **compile_options)
        return model

    return build


class Recorder(keras.Model):
    """Notes the number of each batch that a training or test step really got."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(3)
        self.trained = []
        self.tested = []

    def call(self, x):
        return self.dense(x)

    def train_step(self, *state):
        """Keras passes (data), on JAX (state, data)."""
        self.trained.append(int(state[-1][0][0, 0]))
        return super().train_step(*state)

    def test_step(self, *state):
        self.tested.append(int(state[-1][0][0, 0]))
        return super().test_step(*state)


@pytest.fixture
def recorder():
    model = Recorder()
    model.compile("sgd", "mse", run_eagerly=True)
    return model
