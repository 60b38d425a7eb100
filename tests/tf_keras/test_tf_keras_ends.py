"""However a fit of a tf_keras model ends, what was made for it is gone, and the reason is clear."""

import re
import traceback

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from keras_interrupt import check_control_c
from keras_models import stopper
from keras_sources import Batches, Failing, batch, endless
from tf_keras_own import Sequence

import fastfeed
from fastfeed.errors import ArgumentError, SourceError
from fastfeed.keras import evaluate_generator, fit_generator, predict_generator

PROCESSES = {"workers": 2, "use_multiprocessing": True}
ALL = [fit_generator, evaluate_generator, predict_generator]


StopAt = stopper(tf_keras)


@pytest.mark.parametrize("options", [{"workers": 0}, {}, PROCESSES], ids=["0", "thread", "process"])
def test_exception_of_the_source_arrives_with_the_traceback_of_its_worker(options, recorder):
    with pytest.raises(LookupError, match="no picture number 5") as caught:
        fit_generator(recorder, Failing(), verbose=0, shuffle=False, **options)
    assert recorder.trained == [0, 1, 2, 3, 4], "the batches before it are trained"
    printed = "".join(traceback.format_exception(caught.value))
    assert re.search(r'keras_sources.py", line \d+, in __getitem__\n +raise Lookup', printed)
    assert "tensorflow.python.framework.errors_impl" not in printed


def test_exception_of_a_validation_source(recorder):
    with pytest.raises(LookupError, match="no picture number 5"):
        fit_generator(recorder, Batches(2), verbose=0, validation_data=Failing())
    assert recorder.tested == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("function", [evaluate_generator, predict_generator])
def test_exception_of_an_evaluation_or_a_prediction(function, make_model):
    with pytest.raises(LookupError, match="no picture number 5"):
        function(make_model(), Failing(), **PROCESSES)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_exception_of_a_callback(error, recorder):
    with pytest.raises(error):
        fit_generator(recorder, endless(), 10, 3, 0, [StopAt(2, error)], validation_data=Batches())
    assert recorder.trained == [0, 1, 2]


def test_callback_stops_in_the_middle_of_an_epoch(recorder):
    history = fit_generator(
        recorder, Batches(), None, 5, 0, [StopAt(3)], shuffle=False, **PROCESSES
    )
    assert recorder.trained == [0, 1, 2, 3]
    assert len(history.epoch) == 1


def test_a_fit_after_one_that_failed(recorder):
    with pytest.raises(ValueError):
        fit_generator(recorder, Batches(), None, 1, 0, [StopAt(2, ValueError)])
    recorder.trained.clear()
    fit_generator(recorder, Batches(4), None, 2, 0, shuffle=False)
    assert recorder.trained == [0, 1, 2, 3] * 2


SLOW_FIT = """
import time
import tf_keras, numpy as np, fastfeed

class Slow:
    def __len__(self):
        return 10_000
    def __getitem__(self, index):
        time.sleep(0.2)
        return np.zeros((2, 4), "float32"), np.zeros((2, 1), "float32")

tell = tf_keras.callbacks.LambdaCallback(
    on_batch_end=lambda batch, logs: print("batch", batch, flush=True)
)
model = tf_keras.Sequential([tf_keras.Input((4,)), tf_keras.layers.Dense(1)])
model.compile("sgd", "mse")
fastfeed.fit_generator(model, Slow(), None, 1, 0, [tell], **OPTIONS)
"""


@pytest.mark.parametrize("options", [{}, PROCESSES], ids=["thread", "processes"])
def test_control_c(options, tmp_path):
    text = SLOW_FIT.replace("OPTIONS", repr(options))
    check_control_c(text, tmp_path, "batch 4\n", bool(options))


# -- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize("function", ALL)
def test_source_without_length_needs_steps(function, make_model):
    with pytest.raises(ArgumentError, match=r"steps.* is missing. A generator does not say"):
        function(make_model(), endless())


def test_generator_object_cannot_be_shared_by_processes(make_model):
    with pytest.raises(ArgumentError, match="worker processes cannot share it"):
        fit_generator(make_model(), endless(), 2, **PROCESSES)


def test_wrong_shape_is_the_message_of_tf_keras(make_model):
    item = np.zeros((6, 5), "float32"), np.zeros((6, 3), "float32")
    words = r"Matrix size-incompatible: In\[0\]: \[6,5\], In\[1\]: \[4,8\]"
    with pytest.raises(tf.errors.InvalidArgumentError, match=words):
        make_model().fit(Sequence([item]), verbose=0)
    with pytest.raises(tf.errors.InvalidArgumentError, match=words):
        fit_generator(make_model(), [item])


def test_a_loader_of_tensors_is_refused(make_model):
    with (
        fastfeed.Loader(Batches(), workers=0, framework="tensorflow") as loader,
        pytest.raises(ArgumentError, match="make the Loader without framework"),
    ):
        fit_generator(make_model(), loader)


def test_class_weight_needs_labels(make_model):
    inputs = [batch(index)[0] for index in range(3)]
    with pytest.raises(SourceError, match="class_weight needs batches"):
        fit_generator(make_model(), inputs, class_weight={0: 1.0, 1: 2.0, 2: 1.0}, verbose=0)


def test_more_steps_than_there_are_end_normally(recorder):
    history = fit_generator(recorder, Batches(4), 9, epochs=2, shuffle=False, verbose=0)
    assert recorder.trained == [0, 1, 2, 3]
    assert len(history.epoch) == 1
