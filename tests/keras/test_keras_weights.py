"""class_weight: the same numbers as Keras's own helper, for every form of labels."""

import numpy as np
import pytest
from keras.src.trainers.data_adapters.data_adapter_utils import class_weight_to_sample_weights

from fastfeed.errors import ArgumentError, SourceError
from fastfeed.keras.weights import ClassWeights

CLASSES = np.array([0, 2, 1, 7, 2, 0, -1, 300])
WEIGHT = {0: 0.25, 2: 3, 7: 0.1}  # without 1, -1 and 300

LABELS = {
    "int": CLASSES,
    "int8": CLASSES.clip(max=100).astype("int8"),
    "column": CLASSES[:, None],
    "float": CLASSES + np.float32(0.4),
    "one_hot": np.eye(8, dtype="float32")[CLASSES.clip(0, 7)],
    "bool": CLASSES == 2,
    "binary column": (CLASSES == 2).astype("float32")[:, None],
}


@pytest.mark.parametrize("form", LABELS)
def test_weights_are_those_of_keras(form):
    labels = LABELS[form]
    ours = ClassWeights(WEIGHT).of_labels(labels)
    keras_own = class_weight_to_sample_weights(labels, WEIGHT)
    np.testing.assert_array_equal(ours, keras_own)
    assert ours.dtype == keras_own.dtype


def test_labels_of_each_pixel_keep_their_shape():
    labels = np.array([[0, 1], [2, 2]])[..., None]
    weights = ClassWeights({0: 2.0, 2: 5.0}).of_labels(labels)
    np.testing.assert_array_equal(weights, [[2, 1], [5, 5]])


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_own_sample_weight_is_multiplied_not_spread(shape):
    given = np.array([1.0, 2.0, 4.0]).reshape(shape)
    x, y, weights = ClassWeights({1: 10.0}).apply(("x", np.array([0, 1, 1]), given))
    assert x == "x"
    assert y.tolist() == [0, 1, 1]
    assert weights.shape == shape
    assert weights.ravel().tolist() == [1.0, 20.0, 40.0]
    assert weights.dtype == np.float32


def test_list_batches_and_empty_sample_weight():
    labels = np.array([1, 0])
    for batch in (["x", labels], ("x", labels, None)):
        assert ClassWeights({1: 2.0}).apply(batch)[2].tolist() == [2.0, 1.0]


@pytest.mark.parametrize("wrong", [{}, {"cat": 1.0}, {0: "much"}, [1.0, 2.0], "balanced", {0.5: 1}])
def test_class_weight_must_map_classes_to_numbers(wrong):
    with pytest.raises(ArgumentError, match="Received: class_weight="):
        ClassWeights(wrong)


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        (np.zeros((2, 4)), "needs batches .x, y.*ndarray"),
        (("x",), "needs batches .x, y.*tuple of 1"),
        (("x", {"a": np.zeros(2), "b": np.zeros(2)}), "one output only.*dict of 2"),
    ],
)
def test_batches_without_one_set_of_labels_are_refused(batch, words):
    with pytest.raises(SourceError, match=words):
        ClassWeights({0: 2.0}).apply(batch)
