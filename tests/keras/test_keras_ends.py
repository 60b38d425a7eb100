"""However a fit ends, what fastfeed made for it is gone afterwards (see conftest.nothing_left)."""

import re
import subprocess
import sys
import threading
import traceback

import keras
import numpy as np
import pytest
from keras_interrupt import check_control_c
from keras_models import stopper
from keras_sources import BACKEND, Batches, Failing, batch, endless

import fastfeed
from fastfeed.keras import fit_generator, predict_generator

PROCESSES = {"workers": 2, "use_multiprocessing": True}


StopAt = stopper(keras)


@pytest.mark.parametrize("options", [{}, PROCESSES], ids=["thread", "processes"])
def test_callback_stops_in_the_middle_of_an_epoch(options, recorder):
    history = fit_generator(recorder, Batches(), None, 5, 0, [StopAt(3)], shuffle=False, **options)
    assert recorder.trained == [0, 1, 2, 3]
    assert len(history.history["loss"]) == 1


def test_early_stopping_at_the_end_of_an_epoch(make_model):
    stopping = keras.callbacks.EarlyStopping("loss", min_delta=1e9, patience=0)
    history = fit_generator(make_model(), Batches(), None, 5, 0, [stopping])
    assert len(history.history["loss"]) == 2


@pytest.mark.parametrize("options", [{"workers": 0}, {}, PROCESSES], ids=["0", "thread", "process"])
def test_exception_of_the_source_arrives_with_the_traceback_of_its_worker(options, recorder):
    with pytest.raises(LookupError, match="no picture number 5") as caught:
        fit_generator(recorder, Failing(), verbose=0, shuffle=False, **options)
    assert recorder.trained == [0, 1, 2, 3, 4], "the batches before it are trained"
    printed = "".join(traceback.format_exception(caught.value))
    assert re.search(r'keras_sources.py", line \d+, in __getitem__\n +raise Lookup', printed)


def test_exception_of_a_validation_source(recorder):
    with pytest.raises(LookupError, match="no picture number 5"):
        fit_generator(recorder, Batches(2), verbose=0, validation_data=Failing())
    assert recorder.tested == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_exception_of_a_callback(error, recorder):
    with pytest.raises(error):
        fit_generator(recorder, endless(), 10, 3, 0, [StopAt(2, error)], validation_data=Batches())
    assert recorder.trained == [0, 1, 2]


def test_wrong_shape_is_the_message_of_keras(make_model):
    with pytest.raises(ValueError, match=r"expected shape=\(None, 4\)|incompatible with the layer"):
        fit_generator(make_model(), [(np.zeros((6, 5), "float32"), np.zeros((6, 3), "float32"))])


def test_second_fit_on_the_same_source_and_model(recorder):
    source = Batches(4)
    for _ in range(2):
        fit_generator(recorder, source, None, 2, 0, shuffle=False)
    assert recorder.trained == [0, 1, 2, 3] * 4


def test_second_fit_goes_on_with_a_generator(recorder):
    with fastfeed.Loader(endless(), framework=BACKEND) as loader:
        fit_generator(recorder, loader, 3, 2, 0)
        fit_generator(recorder, loader, 3, 1, 0)
    assert recorder.trained[:6] == [0, 1, 2, 3, 4, 5]
    assert recorder.trained[6:] == [6, 7, 8]


def test_second_fit_after_stopping_begins_a_new_epoch(recorder):
    with fastfeed.Loader(Batches(), workers=1, framework=BACKEND) as loader:
        fit_generator(recorder, loader, None, 1, 0, [StopAt(3)])
        fit_generator(recorder, loader, None, 1, 0)
    assert recorder.trained == [0, 1, 2, 3, *range(10)]


def test_given_loader_stays_open(recorder):
    with fastfeed.Loader(Batches(3), workers=1, framework=BACKEND) as loader:
        fit_generator(recorder, loader, verbose=0, validation_data=Batches(2))
        assert len(list(loader)) == 3


def test_predictions_and_batches_outlive_the_loader(make_model):
    model = make_model()
    kept = predict_generator(model, Batches(), **PROCESSES)
    expected = np.concatenate([model.predict_on_batch(Batches()[i][0]) for i in range(10)])
    np.testing.assert_allclose(kept, expected, rtol=1e-6)


def test_two_fits_at_the_same_time_in_two_threads(make_model):
    models = [make_model(), make_model()]
    threads = [
        threading.Thread(target=fit_generator, args=(m, Batches(), None, 3, 0), kwargs={"seed": 1})
        for m in models
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, other in zip(models[0].get_weights(), models[1].get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


SLOW_FIT = """
import os, sys, time
import keras, numpy as np, fastfeed

class Slow:
    def __len__(self):
        return 1000
    def __getitem__(self, index):
        time.sleep(0.2 if index < 5 else 600)
        return np.zeros((2, 4), "float32"), np.zeros((2, 1), "float32")

tell = keras.callbacks.LambdaCallback(
    on_train_batch_end=lambda batch, logs: print(batch, flush=True)
)
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
model.compile("sgd", "mse")
fastfeed.fit_generator(model, Slow(), None, 1, 0, [tell], shuffle=False, **OPTIONS)
"""


@pytest.mark.parametrize("options", [{}, PROCESSES], ids=["thread", "processes"])
def test_control_c_while_waiting_for_a_slow_source(options, tmp_path):
    text = SLOW_FIT.replace("OPTIONS", repr(options))
    check_control_c(text, tmp_path, "4\n", bool(options))  # the next batch does not come


def test_import_does_not_import_keras():
    code = "import sys, fastfeed.keras; print({'keras', 'tensorflow'} & sys.modules.keys())"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"


def test_every_item_is_the_generators_own_batch():
    """The helper that the other tests lean on: batches differ, and say their number."""
    numbers = [int(batch(i)[0][0, 0]) for i in range(30)]
    assert numbers == list(range(30))
    assert not np.array_equal(batch(1)[0][1:], batch(2)[0][1:])
