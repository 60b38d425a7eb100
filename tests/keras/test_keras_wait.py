"""data_wait in the logs: the share of the training's time that went into waiting for data."""

import threading
import time

import keras
import pytest
from keras_sources import Batches, batch

from fastfeed.keras import fit_generator

LONG_S = 0.1
"""Much longer than a step of the model."""


class Sleepy(Batches):
    """Sleeps before each batch."""

    def __getitem__(self, index):
        time.sleep(LONG_S)
        return super().__getitem__(index)


def sleep(*_, **__):
    time.sleep(LONG_S)


def busy():
    """Make training steps take long by themselves."""
    return keras.callbacks.LambdaCallback(on_train_batch_begin=sleep)


def trained(model, source, callbacks=(), **options):
    """Return the waiting share of a third epoch: in the first two, JAX compiles the model."""
    options = {"epochs": 3, "verbose": 0, "shuffle": False, "max_queue_size": 1, **options}
    history = fit_generator(model, source, callbacks=list(callbacks), **options)
    return history.history["data_wait"][2]


@pytest.mark.parametrize("workers", [0, 1])
def test_nearly_all_of_the_time_is_spent_on_waiting_for_a_slow_source(workers, make_model):
    assert 0.5 < trained(make_model(), Sleepy(4), workers=workers) <= 1


def test_hardly_any_is_with_batches_that_are_ready(make_model):
    assert 0 <= trained(make_model(), Batches(4), [busy()]) < 0.3


def test_waiting_in_a_validation_does_not_count(make_model):
    share = trained(make_model(), Batches(4), [busy()], validation_data=Sleepy(4), workers=0)
    assert share < 0.3


def test_the_time_of_a_validation_does_not_count(make_model):
    slow = keras.callbacks.LambdaCallback()
    slow.on_test_batch_begin = sleep
    options = {"validation_data": Batches(10), "workers": 0}
    assert trained(make_model(), Sleepy(4), [slow], **options) > 0.5


def test_waiting_between_the_epochs_of_a_stream_counts(make_model):
    def stream():
        for index in range(20):
            if index % 5 == 0:
                time.sleep(5 * LONG_S)
            yield batch(index)

    assert trained(make_model(), stream(), steps_per_epoch=5) > 0.5


def test_every_callback_sees_it_at_each_step_and_each_epoch(make_model):
    steps, epochs = [], []
    watch = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda step, logs: steps.append(logs["data_wait"]),
        on_epoch_end=lambda epoch, logs: epochs.append(logs["data_wait"]),
    )
    history = fit_generator(make_model(), Batches(6), None, 3, 0, [watch])
    assert history.history["data_wait"] == epochs
    assert (len(steps), len(epochs)) == (18, 3)
    assert all(0 <= share <= 1 for share in steps + epochs)


def test_progress_bar_shows_it(make_model, capsys):
    fit_generator(make_model(), Batches(6), verbose=1)
    assert " - data_wait: " in capsys.readouterr().out


def test_switched_off_it_is_nowhere(make_model, capsys):
    seen = []
    watch = keras.callbacks.LambdaCallback(on_train_batch_end=lambda step, logs: seen.extend(logs))
    history = fit_generator(make_model(), Batches(6), None, 2, 1, [watch], data_wait=False)
    assert "loss" in seen
    assert "data_wait" not in {*seen, *history.history}
    assert "data_wait" not in capsys.readouterr().out


class Threads(keras.callbacks.Callback):
    """Notes in which threads Keras calls the callbacks of the steps."""

    async_safe = True

    def __init__(self):
        super().__init__()
        self.seen = set()

    def on_train_batch_end(self, step, logs=None):
        self.seen.add(threading.current_thread() is threading.main_thread())


def test_callbacks_run_where_keras_runs_them_without_it(make_model):
    ours, keras_own = Threads(), Threads()
    fit_generator(make_model(), Batches(6), None, 2, 0, [ours])
    make_model().fit(*batch(0), epochs=2, verbose=0, callbacks=[keras_own])
    assert ours.seen == keras_own.seen


def test_tf_keras_shows_and_logs_it_too(capsys):
    tf_keras = pytest.importorskip("tf_keras")
    model = tf_keras.Sequential([tf_keras.layers.Dense(3)])
    model.compile("sgd", "mse")
    history = fit_generator(model, Sleepy(4), None, 2, verbose=1, workers=0).history
    assert 0.5 < history["data_wait"][1] <= 1
    assert len(history["data_wait"]) == len(history["loss"]) == 2
    shown = capsys.readouterr().out.rstrip().rpartition(" ")[2]
    assert shown == f"{history['data_wait'][1]:.4f}", "the bar ends with the share of the epoch"
