"""fit_generator against Keras's own fit: the same batches give the same weights, bit for bit."""

import keras
import numpy as np
import pytest
from keras_models import assert_same_weights
from keras_own import Dataset
from keras_sources import BACKEND, WORKERS, Batches, Weighted, batch, endless, finite

import fastfeed
from fastfeed.errors import SourceError, SourceExhausted
from fastfeed.keras import adapter, fit_generator

CLASS_WEIGHT = {0: 0.25, 2: 3.0}

several_steps_per_execution = pytest.mark.skipif(
    BACKEND == "torch", reason="Keras on torch takes one step per execution only"
)


@pytest.mark.parametrize("way", WORKERS)
def test_weights_and_history_equal_those_of_fit(way, make_model):
    ours, keras_own = make_model(["accuracy"]), make_model(["accuracy"])
    expected = keras_own.fit(Dataset(Batches()), epochs=3, shuffle=False, verbose=0)
    history = fit_generator(
        ours, Batches(), epochs=3, shuffle=False, verbose=0, data_wait=False, **WORKERS[way]
    )
    assert_same_weights(ours, keras_own)
    assert history.history == expected.history
    assert history.params["steps"] == 10


def test_a_keras_sequence_in_processes(make_model):
    ours, keras_own = make_model(), make_model()
    keras_own.fit(Dataset(Batches(4)), epochs=2, shuffle=False, verbose=0)
    fit_generator(
        ours, Dataset(Batches(4)), None, 2, 0, shuffle=False, workers=2, use_multiprocessing=True
    )
    assert_same_weights(ours, keras_own)


def test_shuffled_weights_equal_those_of_fit_in_the_same_order(make_model):
    ours, keras_own = make_model(), make_model()
    with fastfeed.Loader(Batches(), workers=1, shuffle=True, seed=3) as loader:
        orders = [[int(x[0, 0]) for x, _ in loader] for _ in range(2)]
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(10))
    assert orders[0] != orders[1]
    for order in orders:
        keras_own.fit(Dataset(Batches(), order), shuffle=False, verbose=0)
    fit_generator(ours, Batches(), epochs=2, shuffle=True, seed=3, verbose=0)
    assert_same_weights(ours, keras_own)


@pytest.mark.parametrize("way", WORKERS)
def test_each_batch_exactly_once_an_epoch(way, recorder):
    fit_generator(recorder, Batches(30), epochs=3, verbose=0, **WORKERS[way])
    for epoch in range(3):
        assert sorted(recorder.trained[epoch * 30 : (epoch + 1) * 30]) == list(range(30))


@pytest.mark.parametrize("form", ["object", "function"])
def test_endless_generator_runs_on_over_epochs(form, recorder):
    source = endless() if form == "object" else endless
    fit_generator(recorder, source, steps_per_epoch=5, epochs=3, verbose=0)
    assert recorder.trained == list(range(15))


def test_sharded_generator_function_in_processes(recorder):
    def mine(shard, num_shards):
        index = shard
        while True:
            yield batch(index)
            index += num_shards

    fit_generator(recorder, mine, 6, epochs=2, verbose=0, workers=2, use_multiprocessing=True)
    assert recorder.trained == list(range(12))


def test_fewer_steps_than_batches_as_in_keras(recorder):
    """Keras 3 goes on in the next epoch and cuts the last one short."""
    with pytest.warns(UserWarning, match="ran out of data"):
        fit_generator(recorder, Batches(), 4, epochs=3, shuffle=False, verbose=0)
    assert recorder.trained == list(range(10))


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize("length", [7, 10])
def test_training_ends_with_a_used_up_iterator(length, recorder):
    with pytest.warns(UserWarning, match="training ends after 2 of 4 epochs"):
        history = fit_generator(recorder, finite(length), 5, epochs=4, verbose=0)
    assert recorder.trained == list(range(length))
    assert len(history.history["loss"]) == 2
    assert min(history.history["loss"]) > 0


def test_finite_generator_function_starts_again(recorder):
    fit_generator(recorder, lambda: finite(5), 5, epochs=3, verbose=0)
    assert recorder.trained == [*range(5), *range(5), *range(5)]


def test_source_without_a_batch(recorder):
    with pytest.raises((SourceError, SourceExhausted)):
        fit_generator(recorder, finite(0), 5, verbose=0)


@pytest.mark.parametrize("x_type", ["float64", "float16", "uint8", "int64"])
@pytest.mark.parametrize("y_type", ["int64", "uint8", "bool"])
def test_types_arrive_as_in_fit(x_type, y_type, make_model):
    """Each backend has its own idea of 64 bits, and Keras of what it casts."""
    batches = [((x * 3).astype(x_type), y[:, 0].astype(y_type)) for x, y in map(batch, range(4))]
    ours, keras_own = (make_model(loss="sparse_categorical_crossentropy") for _ in range(2))
    keras_own.fit(Dataset(batches), shuffle=False, verbose=0)
    fit_generator(ours, batches, shuffle=False, verbose=0)
    assert_same_weights(ours, keras_own)


TORCH_COMPILES_SLOWLY = [pytest.mark.long] if BACKEND == "torch" else []


@pytest.mark.parametrize(
    "option", [pytest.param("jit_compile", marks=TORCH_COMPILES_SLOWLY), "run_eagerly"]
)
def test_compiled_or_not_at_all(option, make_model):
    ours, keras_own = make_model(**{option: True}), make_model(**{option: True})
    keras_own.fit(Dataset(Weighted()), epochs=2, shuffle=False, verbose=0)
    fit_generator(ours, Weighted(), None, 2, 0, shuffle=False)
    assert_same_weights(ours, keras_own)


def test_mixed_precision(make_model):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        ours, keras_own = make_model(), make_model()
    finally:
        keras.config.set_dtype_policy("float32")
    assert ours.layers[0].compute_dtype == "float16"
    keras_own.fit(Dataset(Batches()), epochs=2, shuffle=False, verbose=0)
    fit_generator(ours, Batches(), None, 2, 0, shuffle=False)
    assert_same_weights(ours, keras_own)


@several_steps_per_execution
@pytest.mark.parametrize("length", [8, 10])
def test_steps_per_execution(length, make_model):
    """The last group of steps may be short: it trains, is reported, and nobody complains."""
    ours, keras_own = make_model(steps_per_execution=4), make_model(steps_per_execution=4)
    keras_own.fit(Dataset(Batches(length)), epochs=2, shuffle=False, verbose=0)
    reported = []
    callback = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: reported.append(batch)
    )
    fit_generator(ours, Batches(length), None, 2, 0, [callback], shuffle=False)
    assert_same_weights(ours, keras_own)
    assert sorted(reported) == sorted([*range(3, length + 3, 4)] * 2)  # JAX: several threads


@several_steps_per_execution
def test_steps_per_execution_with_a_source_that_ends(make_model):
    model = make_model(steps_per_execution=4)
    reported = []
    callback = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: reported.append(batch)
    )
    with pytest.warns(UserWarning, match="ran out of data"):
        fit_generator(model, finite(10), 20, 1, 0, [callback])
    assert sorted(reported) == [3, 7, 11]


def labels(y):
    """The same classes as one-hot, numbers, and numbers in a column."""
    numbers = y.argmax(-1)
    return {"one_hot": y, "numbers": numbers, "column": numbers[:, None]}


@pytest.mark.parametrize("form", ["one_hot", "numbers", "column"])
def test_class_weight_equals_that_of_keras(form, make_model):
    loss = "categorical_crossentropy" if form == "one_hot" else "sparse_categorical_crossentropy"
    batches = [(x, labels(y)[form]) for x, y in (batch(i) for i in range(6))]
    ours, keras_own, unweighted = (
        make_model(loss=loss),
        make_model(loss=loss),
        make_model(loss=loss),
    )
    keras_own.fit(Dataset(batches), epochs=2, shuffle=False, verbose=0, class_weight=CLASS_WEIGHT)
    fit_generator(ours, batches, None, 2, 0, shuffle=False, class_weight=CLASS_WEIGHT)
    fit_generator(unweighted, batches, None, 2, 0, shuffle=False)
    assert_same_weights(ours, keras_own)
    assert not np.array_equal(unweighted.get_weights()[0], ours.get_weights()[0])


def test_sample_weight_equals_that_of_keras(make_model):
    ours, keras_own = make_model(), make_model()
    keras_own.fit(Dataset(Weighted()), epochs=2, shuffle=False, verbose=0)
    fit_generator(ours, Weighted(), None, 2, 0, shuffle=False)
    assert_same_weights(ours, keras_own)


def test_class_weight_is_multiplied_with_sample_weight(make_model):
    source = Weighted()

    def multiplied():
        for x, y, weight in (source[i] for i in range(len(source))):
            by_class = np.array([CLASS_WEIGHT.get(int(c), 1.0) for c in y.argmax(-1)], "float32")
            yield x, y, weight * by_class

    ours, keras_own = make_model(), make_model()
    keras_own.fit(Dataset(list(multiplied())), shuffle=False, verbose=0)
    fit_generator(ours, source, verbose=0, shuffle=False, class_weight=CLASS_WEIGHT)
    assert_same_weights(ours, keras_own)


def test_arrays_with_batch_size(make_model):
    x = np.concatenate([batch(i)[0] for i in range(5)])
    y = np.concatenate([batch(i)[1] for i in range(5)])
    ours, keras_own = make_model(), make_model()
    keras_own.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    fit_generator(ours, (x, y), None, 2, 0, shuffle=False, batch_size=8)
    assert_same_weights(ours, keras_own)


def test_several_inputs_and_outputs_by_name():
    def build():
        keras.utils.set_random_seed(3)
        a, b = keras.Input((2,), name="a"), keras.Input((2,), name="b")
        both = keras.layers.Concatenate()([a, b])
        outputs = {name: keras.layers.Dense(1, name=name)(both) for name in ("p", "q")}
        model = keras.Model({"a": a, "b": b}, outputs)
        model.compile("adam", {"p": "mse", "q": "mae"})
        return model

    batches = [
        ({"a": x[:, :2], "b": x[:, 2:]}, {"p": y[:, :1], "q": y[:, 1:2]})
        for x, y in (batch(i) for i in range(5))
    ]
    ours, keras_own = build(), build()
    keras_own.fit(Dataset(batches), epochs=2, shuffle=False, verbose=0)
    fit_generator(ours, batches, None, 2, 0, shuffle=False)
    assert_same_weights(ours, keras_own)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="only TensorFlow traces for open sizes")
def test_a_smaller_last_batch_does_not_trace_the_step_again():
    class Traced(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(3)
            self.sizes = []

        def call(self, x):
            self.sizes.append(x.shape[0])
            return self.dense(x)

    ours, keras_own = Traced(), Traced()
    for model in (ours, keras_own):
        model.compile("sgd", "mse")
    keras_own.fit(Dataset(Batches(3)), epochs=2, shuffle=False, verbose=0)
    fit_generator(ours, Batches(3), None, 2, 0, shuffle=False)
    assert ours.sizes == keras_own.sizes
    assert set(ours.sizes) == {None}


def test_initial_epoch_and_callbacks_see_what_they_see_in_fit(make_model):
    def run(train):
        seen, steps = [], []  # on JAX, Keras calls the latter from several threads
        callback = keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, logs: seen.append(("begin", epoch)),
            on_epoch_end=lambda epoch, logs: seen.append(("end", epoch, logs["loss"])),
            on_train_batch_end=lambda batch, logs: steps.append(batch),
        )
        train(callback)
        return [*seen, *sorted(steps)]

    plain, ours = make_model(), make_model()
    options = {"epochs": 5, "initial_epoch": 3, "verbose": 0, "shuffle": False}
    expected = run(lambda c: plain.fit(Dataset(Batches(3)), callbacks=[c], **options))
    assert run(lambda c: fit_generator(ours, Batches(3), callbacks=[c], **options)) == expected
    assert run(lambda c: fit_generator(ours, Batches(3), callbacks=c, **options))[0] == ("begin", 3)


def test_adapter_in_a_fit_of_ones_own(make_model):
    ours, keras_own = make_model(), make_model()
    keras_own.fit(Dataset(Batches()), epochs=2, shuffle=False, verbose=0, class_weight=CLASS_WEIGHT)
    with fastfeed.Loader(Batches(), workers=1, framework=BACKEND) as loader:
        ours.fit(adapter(loader, CLASS_WEIGHT, ours), epochs=2, verbose=0)
    assert_same_weights(ours, keras_own)


def test_adapter_tells_of_a_used_up_iterator(recorder):
    with fastfeed.Loader(finite(4), framework=BACKEND) as loader:
        data = adapter(loader)
        recorder.fit(data, steps_per_epoch=4, verbose=0)
        with pytest.raises(SourceExhausted, match="used up"):
            recorder.fit(data, steps_per_epoch=4, verbose=0)


def test_adapter_takes_numpy_batches_too(make_model):
    ours, keras_own = make_model(), make_model()
    keras_own.fit(Dataset(Batches()), shuffle=False, verbose=0)
    with fastfeed.Loader(Batches(), workers=1) as loader:
        ours.fit(adapter(loader), verbose=0)
    assert_same_weights(ours, keras_own)
