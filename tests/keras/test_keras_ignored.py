"""Arguments that Keras drops without a word where it is given an adapter."""

import keras
import numpy as np
import pytest
from keras_own import Dataset
from keras_sources import Batches

import fastfeed
from fastfeed.errors import ArgumentError
from fastfeed.keras import adapter

LABELS = np.zeros((58, 3), "float32")


@pytest.fixture
def data():
    with fastfeed.Loader(Batches(), workers=1, framework=keras.backend.backend()) as loader:
        made = adapter(loader)
        yield made
        made.close()


@pytest.mark.parametrize(
    ("option", "cure"),
    [
        ({"y": LABELS}, r"Let each batch of the source have its labels.*Received: y="),
        ({"sample_weight": LABELS[:, 0]}, r"have its weights.*Received: sample_weight="),
        ({"batch_size": 8}, r"Give batch_size to fastfeed.Loader.*Received: batch_size=8"),
        ({"class_weight": {0: 2.0}}, r"Give class_weight to fastfeed.keras.adapter.*0: 2.0"),
    ],
)
def test_fit_with_an_argument_of_no_effect(option, cure, data, make_model):
    with pytest.raises(ArgumentError, match=r"where fit\(\) reads an adapter.*" + cure):
        make_model().fit(data, verbose=0, **option)


def test_evaluate_and_predict_too(data, make_model):
    with pytest.raises(ArgumentError, match=r"where evaluate\(\).*Received: y="):
        make_model().evaluate(data, y=LABELS, verbose=0)
    with pytest.raises(ArgumentError, match=r"where predict\(\).*Received: batch_size=8"):
        make_model().predict(data, batch_size=8, verbose=0)


def test_positional_labels(data, make_model):
    with pytest.raises(ArgumentError, match=r"Received: y="):
        make_model().fit(data, LABELS)


def test_a_fit_without_them_trains_as_ever(data, make_model):
    ours, keras_own = make_model(), make_model()
    keras_own.fit(Dataset(Batches()), epochs=2, shuffle=False, verbose=0)
    ours.fit(data, epochs=2, verbose=0, validation_data=(LABELS[:, [0] * 4], LABELS))
    for one, other in zip(ours.get_weights(), keras_own.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
