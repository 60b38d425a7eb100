"""Everything that a generator could be: what Keras reads by itself, and items of every form."""

import os
import re
import warnings

import keras
import numpy as np
import pytest
from keras_models import assert_same_weights
from keras_own import Dataset
from keras_sources import Batches, batch, endless

from fastfeed.errors import ArgumentError
from fastfeed.keras import evaluate_generator, fit_generator, predict_generator

CLASS_WEIGHT = {0: 0.25, 1: 1.0, 2: 3.0}


def arrays(length=5):
    return tuple(np.concatenate(parts) for parts in zip(*map(batch, range(length)), strict=True))


def tf_dataset(length=5):
    tf = pytest.importorskip("tensorflow")
    return tf.data.Dataset.from_tensor_slices(arrays(length)).batch(6)


def data_loader(length=5):
    torch = pytest.importorskip("torch")
    tensors = map(torch.from_numpy, arrays(length))
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*tensors), batch_size=6)


READ_BY_KERAS = {"tf.data": tf_dataset, "DataLoader": data_loader}


# -- what Keras reads by itself -----------------------------------------------------------------


@pytest.mark.parametrize("kind", READ_BY_KERAS)
def test_data_sets_are_passed_on(kind, make_model):
    make = READ_BY_KERAS[kind]
    ours, keras_own = make_model(), make_model()
    expected = keras_own.fit(make(), epochs=2, verbose=0, validation_data=make(2))
    history = fit_generator(ours, make(), epochs=2, verbose=0, validation_data=make(2))
    assert history.history == expected.history
    assert_same_weights(ours, keras_own)
    assert evaluate_generator(ours, make()) == keras_own.evaluate(make(), verbose=0)
    np.testing.assert_array_equal(
        predict_generator(ours, make()), keras_own.predict(make(), verbose=0)
    )


def test_class_weight_and_steps_go_with_a_tf_dataset(make_model):
    ours, keras_own = make_model(), make_model()
    options = {"steps_per_epoch": 3, "epochs": 2, "class_weight": CLASS_WEIGHT, "verbose": 0}
    keras_own.fit(tf_dataset().repeat(), **options)
    fit_generator(ours, tf_dataset().repeat(), **options)
    assert_same_weights(ours, keras_own)


def test_class_weight_with_a_data_loader_is_refused_by_keras(make_model):
    with pytest.raises(ValueError, match="`class_weight` is not supported for torch DataLoader"):
        fit_generator(make_model(), data_loader(), class_weight=CLASS_WEIGHT)


@pytest.mark.parametrize("kind", READ_BY_KERAS)
@pytest.mark.parametrize("option", [{"workers": 4}, {"batch_size": 8}, {"max_queue_size": 3}])
def test_options_that_a_data_set_makes_idle_are_refused(kind, option, make_model):
    for function in (fit_generator, evaluate_generator, predict_generator):
        with pytest.raises(
            ArgumentError, match=f"makes its batches by itself.*{next(iter(option))}"
        ):
            function(make_model(), READ_BY_KERAS[kind](), **option)


def test_options_count_for_the_validation_source_beside_a_data_set(make_model):
    ours, keras_own = make_model(), make_model()
    expected = keras_own.fit(tf_dataset(), verbose=0, validation_data=Dataset(Batches(3)))
    options = {"workers": 2, "use_multiprocessing": True}
    history = fit_generator(ours, tf_dataset(), verbose=0, validation_data=Batches(3), **options)
    assert history.history == expected.history


def test_a_data_set_beside_a_source_of_ours(make_model):
    ours, keras_own = make_model(), make_model()
    expected = keras_own.fit(
        Dataset(Batches()), verbose=0, shuffle=False, validation_data=data_loader(2)
    )
    options = {"workers": 2, "use_multiprocessing": True, "shuffle": False, "verbose": 0}
    options["data_wait"] = False
    history = fit_generator(ours, Batches(), validation_data=data_loader(2), **options)
    assert history.history == expected.history


# -- PyDataset ----------------------------------------------------------------------------------


class Places(keras.utils.PyDataset):
    """Its batches tell the process in which they were made."""

    def __len__(self):
        return 8

    def __getitem__(self, index):
        x, y = batch(index)
        x[0, 1] = os.getpid()
        return x, y


class Predictor(keras.Model):
    def call(self, x):
        return x

    def places(self, source, **options):
        return {int(pid) for pid in predict_generator(self, source, **options)[::6, 1]}


def test_a_pydataset_runs_where_it_says():
    model = Predictor()
    here = {os.getpid()}
    assert model.places(Places()) == here
    assert here.isdisjoint(model.places(Places(use_multiprocessing=True)))
    assert here.isdisjoint(model.places(Places(workers=2), use_multiprocessing=True))
    assert model.places(Places(use_multiprocessing=True), workers=0) == here


def test_a_sequence_of_keras_2_needs_no_super_init(make_model):
    class Old(keras.utils.Sequence):
        def __init__(self):
            self.batches = Batches()

        def __len__(self):
            return 10

        def __getitem__(self, index):
            return self.batches[index]

    ours, keras_own = make_model(), make_model()
    keras_own.fit(Dataset(Batches()), shuffle=False, verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit_generator(ours, Old(), None, 1, 0, shuffle=False)
    assert_same_weights(ours, keras_own)


def test_each_batch_of_a_pydataset_with_workers_exactly_once(recorder):
    """Keras 3.15 itself loses a third of them on PyTorch and JAX."""
    source = Dataset(Batches(30))
    source.workers, source.use_multiprocessing = 2, True
    fit_generator(recorder, source, epochs=3, verbose=0)
    for epoch in range(3):
        assert sorted(recorder.trained[epoch * 30 : (epoch + 1) * 30]) == list(range(30))


# -- items of every form ------------------------------------------------------------------------


def two_inputs(form):
    """Return a model with two inputs and two outputs that takes `form`: dicts or lists."""
    keras.utils.set_random_seed(3)
    a, b = keras.Input((2,), name="a"), keras.Input((2,), name="b")
    both = keras.layers.Concatenate()([a, b])
    p, q = (keras.layers.Dense(1, name=name)(both) for name in ("p", "q"))
    if form is dict:
        model = keras.Model({"a": a, "b": b}, {"p": p, "q": q})
        model.compile("adam", {"p": "mse", "q": "mae"})
    else:
        model = keras.Model([a, b], [p, q])
        model.compile("adam", ["mse", "mae"])
    return model


def item_of_two(form, index):
    x, y = batch(index)
    parts = ("a", x[:, :2]), ("b", x[:, 2:]), ("p", y[:, :1]), ("q", y[:, 1:2])
    if form is dict:
        return dict(parts[:2]), dict(parts[2:])
    return form(v for _, v in parts[:2]), form(v for _, v in parts[2:])


@pytest.mark.parametrize("processes", [False, True])
@pytest.mark.parametrize("form", [dict, list, tuple])
def test_several_inputs_and_outputs(form, processes):
    ours, keras_own = two_inputs(form), two_inputs(form)
    items = [item_of_two(form, index) for index in range(5)]
    as_keras_takes_them = [item_of_two(tuple if form is list else form, i) for i in range(5)]
    keras_own.fit(Dataset(as_keras_takes_them), epochs=2, shuffle=False, verbose=0)
    fit_generator(ours, items, None, 2, 0, shuffle=False, use_multiprocessing=processes)
    assert_same_weights(ours, keras_own)
    expected = keras_own.predict(Dataset(as_keras_takes_them), verbose=0)
    predicted = predict_generator(ours, items)
    for one, other in zip(keras.tree.flatten(predicted), keras.tree.flatten(expected), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("form", ["tuple", "list", "with None"])
def test_pairs_in_every_container(form, make_model):
    make_item = {
        "tuple": lambda index: batch(index),
        "list": lambda index: list(batch(index)),
        "with None": lambda index: (*batch(index), None),
    }[form]

    def generator():
        yield from map(make_item, range(5))

    ours, keras_own = make_model(), make_model()
    keras_own.fit(Dataset([batch(index) for index in range(5)]), shuffle=False, verbose=0)
    fit_generator(ours, generator(), 5, verbose=0)
    assert_same_weights(ours, keras_own)


def test_what_has_a_length_and_no_index(make_model):
    class Stream:
        def __len__(self):
            return 5

        def __iter__(self):
            return map(batch, range(5))

    ours, keras_own = make_model(), make_model()
    keras_own.fit(Dataset([batch(index) for index in range(5)]), epochs=2, shuffle=False, verbose=0)
    fit_generator(ours, Stream(), epochs=2, verbose=0)
    assert_same_weights(ours, keras_own)


# -- bad input ----------------------------------------------------------------------------------


def test_items_of_a_wrong_shape_are_for_keras_to_refuse(make_model):
    item = np.zeros((6, 5), "float32"), np.zeros((6, 3), "float32")

    def message(run, *args, **kwargs):
        with pytest.raises(ValueError) as caught:
            run(*args, **kwargs)
        assert type(caught.value) is ValueError
        return re.sub(r"(dense|sequential)_\d+", r"\1", str(caught.value))

    expected = message(make_model().fit, Dataset([item]), verbose=0)
    assert "incompatible with the layer" in expected
    assert message(fit_generator, make_model(), [item], verbose=0) == expected
    assert message(fit_generator, make_model(), endless_of(item), 3, verbose=0) == expected


def endless_of(item):
    while True:
        yield item


def test_more_steps_than_there_are_is_the_warning_of_keras_and_an_end(recorder):
    with pytest.warns(UserWarning, match="Your input ran out of data"):
        history = fit_generator(recorder, Batches(4), 9, epochs=2, shuffle=False, verbose=0)
    assert recorder.trained[:4] == [0, 1, 2, 3]
    assert min(history.history["loss"]) > 0


def test_an_endless_source_of_a_data_set_kind_needs_steps(make_model):
    class Endless:
        def __iter__(self):
            return endless()

    with pytest.raises(ArgumentError, match=r"steps_per_epoch is missing\. A Endless does not say"):
        fit_generator(make_model(), Endless())
