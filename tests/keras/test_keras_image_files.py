"""``fastfeed.images`` trains a model, as a generator of Keras's does."""

import keras
import numpy as np
import pytest

import fastfeed
from fastfeed.keras import evaluate_generator, fit_generator, predict_generator

pytestmark = pytest.mark.skipif(
    keras.config.backend() != "tensorflow", reason="the batches are the same on all backends"
)
FLOW = {"target_size": (8, 8), "batch_size": 4, "rescale": 1 / 255, "validation_split": 0.25}


@pytest.fixture
def folder(tmp_path):
    """A folder with a light and a dark class, which anything can learn to tell apart."""
    for number in range(24):
        light = number % 2
        file = tmp_path / "pictures" / ("dark", "light")[light] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).integers(0, 90, (12, 10, 3)) + 160 * light
        keras.utils.save_img(str(file), noise, scale=False)
    return str(tmp_path / "pictures")


def make_classifier():
    keras.utils.set_random_seed(3)
    layers = [keras.layers.Flatten(), keras.layers.Dense(2, "softmax")]
    model = keras.Sequential([keras.Input((8, 8, 3)), *layers])
    model.compile(keras.optimizers.Adam(0.02), "categorical_crossentropy", metrics=["accuracy"])
    return model


def test_a_model_learns_from_a_folder(folder):
    training = fastfeed.images(folder, subset="training", horizontal_flip=True, **FLOW)
    validation = fastfeed.images(folder, subset="validation", shuffle=False, **FLOW)
    model = make_classifier()
    history = fit_generator(
        model, training, epochs=12, workers=2, validation_data=validation, verbose=0
    )
    assert history.history["val_accuracy"][-1] == 1
    assert history.params["steps"] == len(training) == 5
    assert evaluate_generator(model, validation, workers=1)[1] == 1
    predictions = predict_generator(model, validation, workers=2)
    assert predictions.argmax(axis=1).tolist() == validation.classes.tolist()


def test_it_trains_as_with_keras_s_own(folder):
    """Without shuffling, which differs, the model becomes the same."""
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    options = {name: FLOW[name] for name in ("target_size", "batch_size")} | {"shuffle": False}
    theirs = ImageDataGenerator(rescale=1 / 255).flow_from_directory(folder, **options)
    ours = fastfeed.images(folder, rescale=1 / 255, **options)
    one, other = make_classifier(), make_classifier()
    one.fit(theirs, epochs=2, shuffle=False, verbose=0)
    fit_generator(other, ours, epochs=2, shuffle=False, workers=2, verbose=0)
    for weights, expected in zip(other.get_weights(), one.get_weights(), strict=True):
        np.testing.assert_array_equal(weights, expected)
