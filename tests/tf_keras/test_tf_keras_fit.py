"""Models of tf_keras against tf_keras's own fit: the same batches give the same weights."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from keras_models import assert_same_weights
from keras_sources import WORKERS, Batches, Weighted, batch, endless, finite
from tf_keras_own import Sequence

import fastfeed
from fastfeed.keras import evaluate_generator, fit_generator, predict_generator

CLASS_WEIGHT = {0: 0.25, 1: 1.0, 2: 3.0}
PLAIN = {"shuffle": False, "verbose": 0, "data_wait": False}


@pytest.mark.parametrize("way", WORKERS)
def test_weights_and_history_equal_those_of_fit(way, make_model):
    ours, own = make_model(), make_model()
    validation = Batches(3)
    expected = own.fit(
        Sequence(Batches()),
        epochs=3,
        shuffle=False,
        verbose=0,
        validation_data=Sequence(validation),
        class_weight=CLASS_WEIGHT,
    )
    history = fit_generator(
        ours,
        Batches(),
        epochs=3,
        validation_data=validation,
        class_weight=CLASS_WEIGHT,
        **PLAIN,
        **WORKERS[way],
    )
    assert_same_weights(ours, own)
    assert history.history == expected.history
    assert history.params["steps"] == 10


@pytest.mark.parametrize("way", WORKERS)
def test_evaluation_and_prediction_equal_those_of_tf_keras(way, make_model):
    model = make_model()
    source, own = Batches(), Sequence(Batches())
    assert evaluate_generator(model, source, **WORKERS[way]) == model.evaluate(own, verbose=0)
    predicted = predict_generator(model, source, **WORKERS[way])
    np.testing.assert_array_equal(predicted, model.predict(own, verbose=0))


@pytest.mark.parametrize("way", WORKERS)
def test_each_batch_exactly_once_an_epoch(way, recorder):
    fit_generator(recorder, Batches(12), epochs=3, verbose=0, **WORKERS[way])
    epochs = [recorder.trained[start : start + 12] for start in (0, 12, 24)]
    assert all(sorted(epoch) == list(range(12)) for epoch in epochs)
    assert epochs[0] != epochs[1], "shuffled, as fit_generator does by default"


@pytest.mark.parametrize("form", ["object", "function"])
def test_endless_generator_runs_on_over_epochs(form, recorder):
    source = endless() if form == "object" else endless
    fit_generator(recorder, source, steps_per_epoch=5, epochs=3, verbose=0)
    assert recorder.trained == list(range(15))


def test_weights_equal_those_of_fit_on_an_endless_generator(make_model):
    ours, own = make_model(), make_model()
    expected = own.fit(endless(), steps_per_epoch=5, epochs=3, verbose=0)
    history = fit_generator(ours, endless(), 5, 3, **PLAIN)
    assert_same_weights(ours, own)
    assert history.history == expected.history


def test_a_validation_generator_goes_on_where_it_stopped(recorder):
    fit_generator(recorder, Batches(2), None, 3, 0, validation_data=endless(50), validation_steps=4)
    assert recorder.tested == list(range(50, 62))


def test_validation_of_a_sequence_begins_again_each_time(recorder):
    fit_generator(recorder, Batches(2), None, 3, 0, validation_data=Batches(9), validation_steps=2)
    assert recorder.tested == [0, 1] * 3


def test_validation_arrays_and_freq_are_handed_on(make_model):
    arrays = batch(100, 18)
    ours, own = make_model(), make_model()
    options = {"epochs": 3, "validation_data": arrays, "validation_freq": 2}
    expected = own.fit(Sequence(Batches()), shuffle=False, verbose=0, **options)
    assert fit_generator(ours, Batches(), **options, **PLAIN).history == expected.history
    assert len(expected.history["val_loss"]) == 1


def test_finite_generator_function_starts_again(recorder):
    fit_generator(recorder, lambda: finite(5), 5, epochs=3, verbose=0)
    assert recorder.trained == [0, 1, 2, 3, 4] * 3


@pytest.mark.parametrize("length", [7, 10])
def test_training_ends_with_a_used_up_iterator(length, recorder):
    with pytest.warns(UserWarning, match="training ends after 2 of 4 epochs"):
        history = fit_generator(recorder, finite(length), 5, epochs=4, verbose=0)
    assert recorder.trained == list(range(length))
    assert len(history.history["loss"]) == 2


def test_fewer_steps_than_batches_go_on_in_the_next_epoch(recorder):
    fit_generator(recorder, Batches(), 4, epochs=3, shuffle=False, verbose=0)
    assert recorder.trained == list(range(10))


def test_sample_weight(make_model):
    ours, own = make_model(), make_model()
    own.fit(Sequence(Weighted()), epochs=2, shuffle=False, verbose=0)
    fit_generator(ours, Weighted(), epochs=2, **PLAIN)
    assert_same_weights(ours, own)


def test_class_weight_is_multiplied_with_sample_weight(make_model):
    """tf_keras itself fails here, so it is given the products."""
    source = Weighted()
    by_class = np.array([CLASS_WEIGHT[c] for c in range(3)], "float32")
    multiplied = [
        (x, y, w * by_class[y.argmax(-1)]) for x, y, w in map(source.__getitem__, range(10))
    ]
    ours, own = make_model(), make_model()
    own.fit(Sequence(multiplied), epochs=2, shuffle=False, verbose=0)
    fit_generator(ours, source, epochs=2, class_weight=CLASS_WEIGHT, **PLAIN)
    assert_same_weights(ours, own)


@pytest.mark.parametrize("length", [8, 10])
def test_steps_per_execution(length, make_model):
    ours, own = make_model(steps_per_execution=4), make_model(steps_per_execution=4)
    own.fit(Sequence(Batches(length)), epochs=2, shuffle=False, verbose=0)
    fit_generator(ours, Batches(length), epochs=2, **PLAIN)
    assert_same_weights(ours, own)


@pytest.mark.parametrize("option", ["jit_compile", "run_eagerly"])
def test_compiled_by_xla_or_not_at_all(option, make_model):
    ours, own = make_model(**{option: True}), make_model(**{option: True})
    own.fit(Sequence(Batches()), shuffle=False, verbose=0)
    fit_generator(ours, Batches(), **PLAIN)
    assert_same_weights(ours, own)


def test_mixed_precision(make_model):
    tf_keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        ours, own = make_model(), make_model()
    finally:
        tf_keras.mixed_precision.set_global_policy("float32")
    own.fit(Sequence(Batches()), shuffle=False, verbose=0)
    fit_generator(ours, Batches(), **PLAIN)
    assert ours.layers[0].compute_dtype == "float16"
    assert_same_weights(ours, own)


def test_initial_epoch_and_callbacks_see_what_they_see_in_fit(make_model):
    def run(train):
        seen = []
        callback = tf_keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, logs: seen.append(("begin", epoch)),
            on_epoch_end=lambda epoch, logs: seen.append(("end", epoch, logs["loss"])),
            on_batch_end=lambda batch, logs: seen.append(batch),
        )
        train(callback)
        return seen

    ours, own = make_model(), make_model()
    options = {"epochs": 5, "initial_epoch": 3, "verbose": 0, "shuffle": False}
    expected = run(lambda c: own.fit(Sequence(Batches(3)), callbacks=[c], **options))
    assert run(lambda c: fit_generator(ours, Batches(3), callbacks=[c], **options)) == expected
    assert len(expected) == 10


def test_the_share_of_waiting_is_logged(make_model):
    history = fit_generator(make_model(), Batches(), epochs=2, verbose=0).history
    assert len(history["data_wait"]) == 2
    assert all(0 <= share <= 1 for share in history["data_wait"])


def test_early_stopping(make_model):
    stopping = tf_keras.callbacks.EarlyStopping("loss", min_delta=1e9, patience=0)
    assert len(fit_generator(make_model(), Batches(), None, 5, 0, [stopping]).epoch) == 2


def test_epoch_hooks_of_the_source(recorder):
    class Moving(Batches):
        def on_epoch_end(self):
            self.offset = getattr(self, "offset", 0) + 100

        def __getitem__(self, index):
            return batch(index + getattr(self, "offset", 0))

    fit_generator(recorder, Moving(2), epochs=3, shuffle=False, verbose=0)
    assert recorder.trained == [0, 1, 100, 101, 200, 201]


def test_keras_1_names(recorder):
    with pytest.warns(DeprecationWarning, match="Write steps_per_epoch"):
        fit_generator(recorder, endless(), samples_per_epoch=17, nb_epoch=2, verbose=0)
    assert recorder.trained == list(range(6))


@pytest.mark.parametrize("form", [dict, list])
def test_several_inputs_and_outputs(form):
    def build():
        tf_keras.utils.set_random_seed(3)
        a, b = tf_keras.Input((2,), name="a"), tf_keras.Input((2,), name="b")
        both = tf_keras.layers.Concatenate()([a, b])
        p, q = (tf_keras.layers.Dense(1, name=name)(both) for name in ("p", "q"))
        model = tf_keras.Model([a, b], {"p": p, "q": q} if form is dict else [p, q])
        model.compile("adam", "mse")
        return model

    def item(index):
        x, y = batch(index)
        parts = ("a", x[:, :2]), ("b", x[:, 2:]), ("p", y[:, :1]), ("q", y[:, 1:2])
        if form is dict:
            return dict(parts[:2]), dict(parts[2:])
        return [value for _, value in parts[:2]], [value for _, value in parts[2:]]

    ours, own = build(), build()
    items = [item(index) for index in range(5)]
    own.fit(Sequence(items), epochs=2, shuffle=False, verbose=0)
    fit_generator(ours, items, epochs=2, **PLAIN)
    assert_same_weights(ours, own)


def test_all_sizes_may_change_from_batch_to_batch():
    """Sequences padded to the longest one of their batch, for example."""

    def build():
        tf_keras.utils.set_random_seed(3)
        layers = [tf_keras.layers.Embedding(10, 4), tf_keras.layers.GRU(3)]
        model = tf_keras.Sequential([*layers, tf_keras.layers.Dense(1)])
        model.compile("adam", "mse")
        return model

    rng = np.random.default_rng(0)
    items = [(rng.integers(0, 10, (6, n)), rng.random((6, 1))) for n in (5, 3, 8, 2)]
    ours, own = build(), build()
    own.fit(Sequence(items), epochs=2, shuffle=False, verbose=0)
    fit_generator(ours, items, epochs=2, **PLAIN)
    assert_same_weights(ours, own)


@pytest.mark.parametrize("dtype", ["float64", "float16", "uint8"])
def test_floating_numbers_arrive_in_floatx_others_as_they_are(dtype):
    seen = []

    class Seeing(tf_keras.Model):
        def train_step(self, data):
            seen.extend(part.dtype.name for part in data)
            return {}

    model = Seeing()
    model.compile()
    items = [(np.zeros((6, 4), dtype), np.zeros((6, 1), "float64"))]
    fit_generator(model, items, verbose=0)
    assert seen[:2] == ["uint8" if dtype == "uint8" else "float32", "float32"]


def test_predict_of_inputs_alone(make_model):
    model = make_model()
    inputs = [batch(index)[0] for index in range(5)]
    expected = model.predict(np.concatenate(inputs), batch_size=6, verbose=0)
    np.testing.assert_array_equal(predict_generator(model, inputs), expected)
    first = predict_generator(model, (x for x in inputs), steps=2)
    np.testing.assert_array_equal(first, expected[:12])


def test_arrays_with_batch_size(make_model):
    x, y = (np.concatenate(parts) for parts in zip(*map(batch, range(5)), strict=True))
    ours, own = make_model(), make_model()
    own.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    fit_generator(ours, (x, y), None, 2, batch_size=8, **PLAIN)
    assert_same_weights(ours, own)


def test_a_tf_dataset_is_passed_on(make_model):
    x, y = (np.concatenate(parts) for parts in zip(*map(batch, range(5)), strict=True))
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(6)
    ours, own = make_model(), make_model()
    own.fit(data, epochs=2, verbose=0, class_weight=CLASS_WEIGHT)
    fit_generator(ours, data, None, 2, class_weight=CLASS_WEIGHT, **PLAIN)
    assert_same_weights(ours, own)


def test_a_data_loader_is_fed_though_tf_keras_knows_none(make_model):
    torch = pytest.importorskip("torch")
    x, y = (np.concatenate(parts) for parts in zip(*map(batch, range(5)), strict=True))
    data = torch.utils.data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y))
    ours, own = make_model(), make_model()
    own.fit(x, y, batch_size=6, epochs=2, shuffle=False, verbose=0)
    fit_generator(ours, torch.utils.data.DataLoader(data, 6), None, 2, **PLAIN)
    assert_same_weights(ours, own)


def test_a_second_fit_with_the_same_loader(recorder):
    with fastfeed.Loader(endless()) as loader:
        fit_generator(recorder, loader, 3, 2, 0)
        first = list(recorder.trained)
        fit_generator(recorder, loader, 3, 1, 0)
    assert first == [0, 1, 2, 3, 4, 5]
    assert recorder.trained[6:] == [6, 7, 8]


def test_the_model_decides_which_keras_is_meant(make_model):
    """Both are loaded in this process."""
    keras.utils.set_random_seed(7)
    three = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    three.compile("sgd", "mse")
    fit_generator(three, Batches(), verbose=0)
    ours, own = make_model(), make_model()
    own.fit(Sequence(Batches()), shuffle=False, verbose=0)
    fit_generator(ours, Batches(), **PLAIN)
    assert_same_weights(ours, own)
