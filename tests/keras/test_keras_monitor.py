"""The Monitor callback: data_wait and batches_per_second in the logs, whoever calls fit."""

import csv
import time

import keras
import pytest
from keras_sources import BACKEND, Batches, batch, endless

import fastfeed
from fastfeed.errors import ArgumentError
from fastfeed.keras import Monitor, adapter, fit_generator

NAMES = {"data_wait", "batches_per_second"}
STEP_S = 0.05

on_tensorflow = pytest.mark.skipif(BACKEND != "tensorflow", reason="the same on all backends")


class Slow(keras.callbacks.Callback):
    """Makes each step take STEP_S or longer, so that an epoch's rate has a bound."""

    def on_train_batch_begin(self, batch, logs=None):
        time.sleep(STEP_S)


class Watch(keras.callbacks.Callback):
    """Notes what other callbacks can see."""

    def __init__(self):
        super().__init__()
        self.steps, self.epochs = [], []

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append(dict(logs))

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(dict(logs))


def check(history, epochs):
    """Assert that a training with `Slow` has logged what can be true."""
    assert len(history["data_wait"]) == len(history["batches_per_second"]) == epochs
    assert all(0 <= share <= 1 for share in history["data_wait"])
    assert all(0 < rate <= 1 / STEP_S for rate in history["batches_per_second"])


def test_fit_generator_tells_it_what_is_read_and_calls_it_first(make_model):
    watch = Watch()
    callbacks = [watch, Slow(), Monitor()]
    history = fit_generator(make_model(), Batches(4), None, 2, 0, callbacks).history
    check(history, 2)
    assert [logs.keys() & NAMES for logs in watch.steps] == [NAMES] * 8
    assert [logs["data_wait"] for logs in watch.epochs] == history["data_wait"]


def test_it_needs_no_data_wait_of_fit_generator(make_model):
    history = fit_generator(make_model(), Batches(4), callbacks=[Monitor()], data_wait=False)
    assert history.history.keys() >= NAMES


@pytest.mark.parametrize("give", [lambda loader, data: loader, lambda loader, data: data])
def test_with_keras_own_fit_it_is_given_the_loader_or_the_adapter(give, make_model, tmp_path):
    table = tmp_path / "log.csv"
    framework = keras.backend.backend()
    with fastfeed.Loader(Batches(4), workers=1, framework=framework) as loader:
        data = adapter(loader)
        callbacks = [Monitor(give(loader, data)), Slow(), keras.callbacks.CSVLogger(table)]
        history = make_model().fit(data, epochs=3, verbose=0, callbacks=callbacks).history
        data.close()
    check(history, 3)
    with table.open() as lines:
        rows = list(csv.DictReader(lines))
    assert [float(row["batches_per_second"]) for row in rows] == history["batches_per_second"]
    assert [float(row["data_wait"]) for row in rows] == history["data_wait"]


def test_a_source_that_makes_training_wait_shows(make_model):
    class Sleepy(Batches):
        def __getitem__(self, index):
            time.sleep(0.1)
            return super().__getitem__(index)

    with fastfeed.Loader(Sleepy(4), workers=0, framework=keras.backend.backend()) as loader:
        data = adapter(loader)
        options = {"epochs": 3, "verbose": 0, "callbacks": [Monitor(loader)]}
        history = make_model().fit(data, **options).history  # JAX compiles in two epochs
        data.close()
    assert history["data_wait"][2] > 0.5
    assert history["batches_per_second"][2] <= 10


def test_an_endless_source_is_counted_from_each_epochs_begin(make_model):
    callbacks = [Monitor(), Slow()]
    check(fit_generator(make_model(), endless(), 3, 3, 0, callbacks).history, 3)


def test_tensorboard_writes_both_as_scalars(make_model, tmp_path):
    tensor_util = pytest.importorskip("tensorboard.util.tensor_util")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = keras.callbacks.TensorBoard(tmp_path, write_graph=False, update_freq=1)
    history = fit_generator(make_model(), Batches(4), None, 2, 0, [board, Monitor()]).history
    written = EventAccumulator(str(tmp_path / "train"), {"tensors": 0}).Reload()
    for name in NAMES:
        epochs = [event.tensor_proto for event in written.Tensors(f"epoch_{name}")]
        assert [tensor_util.make_ndarray(epoch) for epoch in epochs] == pytest.approx(history[name])
        assert len(written.Tensors(f"batch_{name}")) == 8


def test_evaluate_takes_it_and_logs_nothing(make_model):
    model = make_model()
    assert model.evaluate(*batch(0), verbose=0, callbacks=[Monitor()]) >= 0


def test_keras_own_fit_without_a_loader_says_what_to_write(make_model):
    with pytest.raises(ArgumentError, match=r"Monitor\(loader\).*Received: Monitor\(\)"):
        make_model().fit(*batch(0), verbose=0, callbacks=[Monitor()])


@pytest.mark.parametrize("data", [3, "loader", Batches()])
def test_what_is_no_loader_is_refused(data):
    with pytest.raises(ArgumentError, match=f"Received: {type(data).__name__}"):
        Monitor(data)


@on_tensorflow
def test_a_step_of_several_batches_counts_as_several(make_model):
    watch = Watch()
    model = make_model(steps_per_execution=4)
    history = fit_generator(model, Batches(8), None, 1, 0, [watch, Slow(), Monitor()]).history
    first, second = (logs["batches_per_second"] for logs in watch.steps)
    assert 0 < first <= 4 / STEP_S
    assert 0 < second <= 8 / (2 * STEP_S)
    assert history["batches_per_second"][0] > 2 * second / 3, "of 8 batches, not of 2"


@on_tensorflow
@pytest.mark.parametrize("own_fit", [False, True])
def test_tf_keras_logs_both_too(own_fit, capsys):
    tf_keras = pytest.importorskip("tf_keras")
    model = tf_keras.Sequential([tf_keras.layers.Dense(3)])
    model.compile("sgd", "mse")
    slow = tf_keras.callbacks.LambdaCallback(on_batch_begin=lambda batch, logs: time.sleep(STEP_S))
    if own_fit:
        with fastfeed.Loader(Batches(4), workers=1) as loader:
            callbacks = [Monitor(loader), slow]
            history = model.fit(loader.as_tf_dataset(), epochs=2, verbose=0, callbacks=callbacks)
    else:
        history = fit_generator(model, Batches(4), None, 2, 1, [slow, Monitor()])
        shown = capsys.readouterr().out.rstrip()
        assert shown.endswith(f"batches_per_second: {history.history['batches_per_second'][1]:.4f}")
    check(history.history, 2)
