"""What the tests of fastfeed.keras share. They run real fits, on one of Keras's backends: a
process has one, so `make test` runs them once with each KERAS_BACKEND.
"""

import os
import tempfile

import keras_models
import pytest

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# PyTorch's threads wait by spinning: on cores that others use, each step takes many times longer.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Most tests train the same small model: JAX compiles its step for the first one only.
COMPILED = tempfile.TemporaryDirectory(prefix="fastfeed-jax-")
os.environ["JAX_COMPILATION_CACHE_DIR"] = COMPILED.name
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"

keras = pytest.importorskip("keras")

if os.environ["KERAS_BACKEND"] != "tensorflow":  # these choose their backends, or need none
    collect_ignore = [
        f"test_keras_{name}.py"
        for name in ("docs", "images", "load_img", "memory", "tutorials", "weights", "without_jax")
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


@pytest.fixture
def recorder():
    return keras_models.recorder(keras)
