"""Training under tf.distribute.MirroredStrategy, on two virtual CPUs.

The devices must be set before TensorFlow starts, so each test is a script in another process.
"""

import os
from pathlib import Path

import pytest
from keras_sources import BACKEND

pytestmark = pytest.mark.skipif(
    BACKEND != "tensorflow", reason="distribution strategies belong to TensorFlow"
)

SETUP = """
import numpy as np
import tensorflow as tf
from keras_models import assert_same_weights
from keras_own import Dataset
from keras_sources import Batches, Numbered, Weighted
from keras_strategy import make_model, make_recorder

import fastfeed
"""

SAME_WEIGHTS = """
ours, keras_own = make_model(metrics=["accuracy"]), make_model(metrics=["accuracy"])
options = {"epochs": 3, "shuffle": False, "verbose": 0}
expected = keras_own.fit(Dataset(Weighted()), validation_data=Dataset(Batches(3)), **options)
history = fastfeed.fit_generator(
    ours, Weighted(), validation_data=Batches(3), workers=2, data_wait=False, **options
)
assert_same_weights(ours, keras_own)
assert history.history == expected.history
assert fastfeed.evaluate_generator(ours, Batches()) == ours.evaluate(Dataset(Batches()), verbose=0)
np.testing.assert_array_equal(
    fastfeed.predict_generator(ours, Batches()), ours.predict(Dataset(Batches()), verbose=0)
)
"""

CLASS_WEIGHT = """
ours, keras_own = make_model(), make_model()
options = {"epochs": 2, "shuffle": False, "verbose": 0, "class_weight": {0: 0.25, 2: 3.0}}
keras_own.fit(Dataset(Batches()), **options)
fastfeed.fit_generator(ours, Batches(), **options)
assert_same_weights(ours, keras_own)
"""

AS_A_DATASET = """
ours, keras_own = make_model(), make_model()
keras_own.fit(Dataset(Batches()), epochs=2, shuffle=False, verbose=0)
with fastfeed.Loader(Batches(), workers=2) as loader:
    ours.fit(loader.as_tf_dataset(), epochs=2, verbose=0)
assert_same_weights(ours, keras_own)
"""

EACH_ONCE = """
model = make_recorder()
fastfeed.fit_generator(
    model, Numbered(6), epochs=3, verbose=0, shuffle=False, validation_data=Numbered(4), workers=2
)
assert model.trained == list(range(6)) * 3, model.trained
assert model.tested == list(range(4)) * 3, model.tested
with fastfeed.Loader(Numbered(6), shuffle=True, seed=3, workers=1) as loader:
    order = [int(x[0, 0]) for _ in range(2) for x, y in loader]
model = make_recorder()
fastfeed.fit_generator(model, Numbered(6), epochs=2, verbose=0, seed=3)
assert model.trained == order, "the batch that Keras looks at is no epoch"
model = make_recorder()
with fastfeed.Loader(Numbered(6), shuffle=True, seed=3, workers=1) as loader:
    fastfeed.fit_generator(model, Numbered(2), epochs=2, verbose=0, validation_data=loader)
assert model.tested == order, "nor is that of a validation"
"""

STREAM = """
def numbered():
    number = 0
    while True:
        yield np.full((6, 4), number, "float32"), np.zeros((6, 3), "float32")
        number += 1


model = make_recorder()
fastfeed.fit_generator(model, numbered(), 5, epochs=3, verbose=0)
assert model.trained == list(range(15)), model.trained
"""

ENDS = """
class Failing(Batches):
    def __getitem__(self, index):
        if index == 5:
            raise LookupError("no picture number 5")
        return super().__getitem__(index)


try:
    fastfeed.fit_generator(make_model(), Failing(), verbose=0, shuffle=False)
except tf.errors.OpError as error:
    assert "LookupError: no picture number 5" in str(error), error
    assert 'raise LookupError("no picture number 5")' in str(error), error
else:
    raise AssertionError("nothing was raised")

with fastfeed.Loader(Batches(), workers=1) as loader:
    try:
        make_model().fit(fastfeed.keras.adapter(loader), verbose=0)
    except fastfeed.errors.UnsupportedHost as error:
        assert "adapter(loader, model=model)" in str(error), error
    else:
        raise AssertionError("nothing was raised")
"""

SCRIPTS = {
    "same weights": SAME_WEIGHTS,
    "class_weight": CLASS_WEIGHT,
    "as_tf_dataset": AS_A_DATASET,
    "each batch once": EACH_ONCE,
    "stream": STREAM,
    "ends": ENDS,
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_under_a_strategy(name, tmp_path, script_process):
    script = tmp_path / "script.py"
    script.write_text(SETUP + SCRIPTS[name])
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    script_process(PYTHONPATH=os.pathsep.join(paths)).printed_by(script)
