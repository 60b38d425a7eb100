"""What tests on Keras 3 and on tf_keras alike need of a Keras, which they pass."""

import numpy as np


def recorder(keras):
    """Return a compiled model that notes the number of each batch that a step really got."""

    class Recorder(keras.Model):
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

    model = Recorder()
    model.compile("sgd", "mse", run_eagerly=True)
    return model


def stopper(keras):
    """Return the class of a callback that stops, or raises, at a batch."""

    class StopAt(keras.callbacks.Callback):
        def __init__(self, batch, error=None):
            super().__init__()
            self.batch = batch
            self.error = error

        def on_train_batch_end(self, batch, logs=None):
            if batch == self.batch:
                if self.error:
                    raise self.error
                self.model.stop_training = True

    return StopAt


def assert_same_weights(one, other):
    """Assert that two models' weights are equal bit for bit."""
    for ours, theirs in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
