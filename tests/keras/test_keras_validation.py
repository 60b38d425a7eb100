"""validation_data, evaluate_generator and predict_generator against Keras's own."""

import keras
import numpy as np
import pytest
from keras_own import Dataset
from keras_sources import BACKEND, WORKERS, Batches, Later, batch, endless

import fastfeed
from fastfeed.errors import ArgumentError
from fastfeed.keras import evaluate_generator, fit_generator, predict_generator


def validation_arrays(length=3):
    parts = [batch(100 + i) for i in range(length)]
    return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))


def train(make_model, data, **options):
    model = make_model(["accuracy"])
    options = {"shuffle": False, "validation_data": data, "data_wait": False, **options}
    return fit_generator(model, Batches(), None, 3, 0, **options).history


def test_what_is_refused_as_validation_data_says_so(make_model):
    """The call names one number of workers, and the generator to train on may well be divisible."""
    options = {"validation_steps": 3, "workers": 2, "use_multiprocessing": True}
    with pytest.raises(ArgumentError, match="worker processes cannot share it") as refused:
        train(make_model, endless(), **options)
    assert refused.value.__notes__ == ["This is about validation_data."]


@pytest.fixture
def expected(make_model):
    model = make_model(["accuracy"])
    history = model.fit(
        Dataset(Batches()), validation_data=Dataset(Later(3)), epochs=3, shuffle=False, verbose=0
    )
    return history.history


@pytest.mark.parametrize("way", WORKERS)
def test_sequence(way, make_model, expected):
    assert train(make_model, Later(3), **WORKERS[way]) == expected


def test_loader(make_model, expected):
    with fastfeed.Loader(Later(3), workers=1, framework=BACKEND) as loader:
        assert train(make_model, loader) == expected
        assert len(list(loader)) == 3, "the caller's loader is still open"


def test_arrays_go_to_keras_as_they_are(make_model):
    arrays = validation_arrays()
    model = make_model(["accuracy"])
    history = model.fit(
        Dataset(Batches()), validation_data=arrays, epochs=3, shuffle=False, verbose=0
    )
    assert train(make_model, arrays) == history.history
    assert train(make_model, list(arrays)) == history.history


def test_tf_dataset_goes_to_keras_as_it_is(make_model, expected):
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices(validation_arrays()).batch(6)
    ours = train(make_model, data)
    np.testing.assert_allclose(ours["val_loss"], expected["val_loss"], rtol=1e-6)


def test_endless_generator_goes_on_where_it_stopped(recorder):
    fit_generator(recorder, Batches(2), None, 3, 0, validation_data=endless(50), validation_steps=4)
    assert recorder.tested == list(range(50, 62))


def test_sequence_with_fewer_steps_begins_again_each_time_as_in_keras(recorder):
    fit_generator(recorder, Batches(2), None, 3, 0, validation_data=Later(9), validation_steps=2)
    assert recorder.tested == [100, 101] * 3


def test_validation_is_complete_and_unshuffled_whatever_the_training(recorder):
    x, y = validation_arrays()  # 18 samples
    samples = [(x[i], y[i]) for i in range(18)]
    training = [samples[i] for i in range(10)]
    fit_generator(
        recorder,
        training,
        batch_size=4,
        drop_last=True,
        verbose=0,
        validation_data=fastfeed.Loader(samples, batch_size=6, workers=0, framework=BACKEND),
    )
    assert len(recorder.trained) == 2
    assert recorder.tested == [100, 101, 102]


def test_validation_freq_and_steps_are_handed_on(make_model):
    history = train(make_model, Later(3), validation_freq=[1, 3])
    assert len(history["val_loss"]) == 2
    assert len(history["loss"]) == 3


@pytest.mark.parametrize("way", WORKERS)
def test_evaluate_equals_that_of_keras(way, make_model):
    model = make_model(["accuracy"])
    expected = model.evaluate(Dataset(Batches()), verbose=0)
    assert evaluate_generator(model, Batches(), **WORKERS[way]) == expected
    assert evaluate_generator(model, endless(), 9) == model.evaluate(endless(), steps=9, verbose=0)


def test_evaluate_twice_with_one_loader(make_model):
    model = make_model()
    expected = model.evaluate(Dataset(Batches()), verbose=0)
    with fastfeed.Loader(Batches(), workers=1, framework=BACKEND) as loader:
        assert [evaluate_generator(model, loader) for _ in range(2)] == [expected, expected]


@pytest.mark.parametrize("way", WORKERS)
def test_predict_in_the_order_of_the_source(way, make_model):
    model = make_model()
    expected = model.predict(Dataset(Batches()), verbose=0)
    assert len(expected) == 58
    np.testing.assert_array_equal(predict_generator(model, Batches(), **WORKERS[way]), expected)


def test_predict_of_inputs_alone(make_model):
    model = make_model()
    inputs = [batch(i)[0] for i in range(5)]
    expected = np.concatenate([model.predict_on_batch(x) for x in inputs])
    np.testing.assert_allclose(predict_generator(model, inputs), expected, rtol=1e-6)
    first = predict_generator(model, (x for x in inputs), steps=2)
    np.testing.assert_allclose(first, expected[:12], rtol=1e-6)


@pytest.mark.skipif(BACKEND == "torch", reason="Keras on torch takes one step per execution only")
def test_predict_with_steps_per_execution(make_model):
    model = make_model(steps_per_execution=4)
    expected = model.predict(Dataset(Batches()), verbose=0)
    np.testing.assert_array_equal(predict_generator(model, Batches()), expected)


def test_callbacks_of_evaluate_and_predict(make_model):
    seen = []
    callback = keras.callbacks.LambdaCallback()
    callback.on_test_batch_end = lambda batch, logs=None: seen.append(("test", batch))
    callback.on_predict_batch_end = lambda batch, logs=None: seen.append(("predict", batch))
    model = make_model()
    evaluate_generator(model, Batches(2), None, [callback])
    predict_generator(model, Batches(2), None, [callback])
    assert sorted(seen) == [("predict", 0), ("predict", 1), ("test", 0), ("test", 1)]
