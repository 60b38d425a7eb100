"""LoaderCheckpoint: a training that was ended anywhere goes on with the data it has not seen."""

import errno
import json
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
from keras_models import recorder as new_recorder
from keras_sources import BACKEND, Batches, batch

import fastfeed
from fastfeed.errors import ArgumentError, StateMismatch
from fastfeed.keras import LoaderCheckpoint, adapter, checkpoint, fit_generator

LENGTH, EPOCHS = 7, 3

on_tensorflow = pytest.mark.skipif(BACKEND != "tensorflow", reason="the same on all backends")


class Ended(Exception):
    pass


class EndAfter(keras.callbacks.Callback):
    """Ends the training after so many batches, as a signal would."""

    def __init__(self, batches):
        super().__init__()
        self.left = batches

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if not self.left:
            raise Ended


def stream():
    for index in range(100):
        yield batch(index)


def built(steps=1, accumulate=None):
    """A model that notes what it is trained on, as BackupAndRestore needs it."""
    model = new_recorder(keras)
    if steps > 1 or accumulate:
        optimizer = keras.optimizers.SGD(gradient_accumulation_steps=accumulate)
        model.compile(optimizer, "mse", run_eagerly=True, steps_per_execution=steps)
    model(np.zeros((1, 4), "float32"))
    return model


def train(
    folder, batches=None, save_freq="epoch", source=None, steps=1, accumulate=None, **options
):
    """Train until the end, or for so many batches; return the numbers of those it has got."""
    model = built(steps, accumulate)
    callbacks = [
        keras.callbacks.BackupAndRestore(folder / "model", save_freq=save_freq),
        LoaderCheckpoint(folder / "data.json", save_freq=save_freq),
        *options.pop("more", []),
    ]
    if batches:
        callbacks.append(EndAfter(batches))
    options = {"epochs": EPOCHS, "verbose": 0, "callbacks": callbacks, **options}
    try:
        fit_generator(model, Batches(LENGTH) if source is None else source, **options)
    except Ended:
        assert batches
    else:
        assert not batches
    return model.trained


def whole(source=None, **options):
    model = built()
    source = Batches(LENGTH) if source is None else source
    fit_generator(model, source, epochs=EPOCHS, verbose=0, **options)
    return model.trained


def check(first, second, expected, most_lost):
    """What the restored model has seen, and what it was trained on then, is all, in its order."""
    seen = len(expected) - len(second)
    assert 0 <= len(first) - seen <= most_lost
    assert first[:seen] + second == expected


@pytest.mark.parametrize(
    ("batches", "save_freq", "most_lost"),
    [
        (5, "epoch", 5),  # nothing was saved but the begin
        (1, 1, 0),  # Keras looks at the first batch of a fit: of the one that was trained here
        (7 + 4, "epoch", 4),
        (5, 2, 1),
        (7, 7, 0),
        (2 * 7 + 6, 1, 0),
    ],
)
def test_a_training_goes_on_where_the_model_was_saved(batches, save_freq, most_lost, tmp_path):
    first = train(tmp_path, batches, save_freq)
    assert len(first) == batches
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "Your input ran out of data")
        second = train(tmp_path, None, save_freq)
    check(first, second, whole(), most_lost)
    assert os.listdir(tmp_path) == ["data.json"]  # and nothing half written


@pytest.mark.parametrize("save_freq", [1, LENGTH])
def test_nothing_is_left_after_the_last_batch(save_freq, tmp_path):
    first = train(tmp_path, LENGTH * EPOCHS, save_freq)
    assert first == whole()
    assert train(tmp_path, None, save_freq) == []
    assert os.listdir(tmp_path) == ["data.json"]  # BackupAndRestore takes it as ended too


def test_an_epoch_whose_last_batch_was_trained_is_not_begun_again(tmp_path):
    begun = []
    note = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: begun.append(epoch))
    train(tmp_path, LENGTH, LENGTH)
    train(tmp_path, None, LENGTH, more=[note])
    assert begun == [1, 2]  # as a schedule of the learning rate has to see it


@pytest.mark.parametrize("save_freq", ["epoch", 2])
def test_a_training_that_ended_is_followed_by_another(save_freq, tmp_path):
    model = built()
    for _ in range(2):
        checkpoint = LoaderCheckpoint(tmp_path / "data.json", save_freq=save_freq)
        options = {"epochs": 2, "verbose": 0, "callbacks": checkpoint}
        fit_generator(model, Batches(LENGTH), **options)
    assert model.trained[: LENGTH * EPOCHS] == whole()
    assert len(model.trained) == LENGTH * 2 * 2


@on_tensorflow
def test_it_is_ended_again_and_again(tmp_path):
    expected = whole()
    trained = []
    for _ in range(2):
        part = train(tmp_path, 5, 2)
        trained += part[:4]  # one more after the last save
    check(trained, train(tmp_path, None, 2), expected, 0)


def test_the_validation_between_does_not_count(tmp_path):
    options = {"validation_data": Batches(4)}
    first = train(tmp_path, LENGTH + 3, 3, **options)
    check(first, train(tmp_path, None, 3, **options), whole(), 1)


@pytest.mark.parametrize("batches", [3, 6, 9])
def test_a_stream_is_run_forward(batches, tmp_path):
    options = {"source": stream, "steps_per_epoch": 5}
    first = train(tmp_path, batches, 2, **options)
    assert first == list(range(batches))
    second = train(tmp_path, None, 2, **options)
    begun = batches - batches % 2
    assert second == list(range(begun, begun + len(second)))
    assert second[-1] >= 5 * EPOCHS - 1  # Keras begins an epoch again: it has more batches


@on_tensorflow
def test_several_steps_at_once(tmp_path):
    first = train(tmp_path, 2, 3, steps=3)  # so many executions
    assert len(first) == 6
    check(first, train(tmp_path, None, 3, steps=3), whole(), 3)


def test_gradients_of_several_batches(tmp_path):
    """The optimizer then counts one step for them."""
    first = train(tmp_path, 9, 2, accumulate=4)
    check(first, train(tmp_path, None, 2, accumulate=4), whole(), 1)


@on_tensorflow
def test_what_is_left_is_too_little_for_a_step_of_more_ranks(tmp_path):
    train(tmp_path, 6, 6)
    second = train(tmp_path, None, 6, shard=(0, 2))  # the seventh batch is left out
    assert len(second) == 3 * (EPOCHS - 1)
    assert set(second) < set(range(LENGTH))


@on_tensorflow
def test_a_process_that_was_killed(tmp_path):
    program = (
        "import os, signal, sys; from pathlib import Path\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import test_keras_checkpoint as test\n"
        "test.EndAfter.on_train_batch_end = test.killing\n"
        f"test.train(Path({str(tmp_path)!r}), {LENGTH + 4}, 3, workers=2)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], stderr=subprocess.DEVNULL)
    assert ended.returncode == -signal.SIGKILL
    expected = whole()
    second = train(tmp_path, None, 3, workers=2)
    assert second == expected[9:]  # of 11 batches that were trained


def killing(callback, batch, logs=None):
    """In the place of EndAfter's."""
    callback.left -= 1
    if not callback.left:
        os.kill(os.getpid(), signal.SIGKILL)


def trained_by_keras(model, data, epochs, callbacks):
    """Call Keras's own fit, which `EndAfter` may end; return the numbers of its batches."""
    try:
        model.fit(data, epochs=epochs, verbose=0, callbacks=callbacks)
    except Ended:
        pass
    finally:
        data.close()
    return model.trained


@on_tensorflow
def test_keras_own_fit_trains_on_one_batch_after_the_last(tmp_path):
    def fit(end=None):
        model = built()
        with fastfeed.Loader(Batches(LENGTH), workers=0) as loader:
            data = adapter(loader)
            checkpoint = LoaderCheckpoint(tmp_path / "data.json", data, save_freq=LENGTH)
            backup = keras.callbacks.BackupAndRestore(tmp_path / "model", save_freq=LENGTH)
            callbacks = [checkpoint, backup, *([EndAfter(end)] if end else [])]
            return trained_by_keras(model, data, 2, callbacks)

    assert len(fit(LENGTH * 2)) == LENGTH * 2
    assert fit() == [0]


@on_tensorflow
def test_with_keras_own_fit_and_weights_that_are_loaded_by_hand(tmp_path):
    def run(model, end=None):
        with fastfeed.Loader(Batches(LENGTH), shuffle=True, workers=1) as loader:
            data = adapter(loader)
            callbacks = [LoaderCheckpoint(tmp_path / "data.json", data, save_freq=2)]
            if end:
                path = tmp_path / "{batch}.weights.h5"
                callbacks.append(
                    keras.callbacks.ModelCheckpoint(path, save_weights_only=True, save_freq=2)
                )
                callbacks.append(EndAfter(end))
            return trained_by_keras(model, data, 1, callbacks)

    first = run(built(), 5)
    for saved in (4, 2):  # the last one, and one before
        model = built()
        model.optimizer.build(model.trainable_variables)
        model.load_weights(tmp_path / f"{saved}.weights.h5")
        check(first[:saved], run(model), whole()[:LENGTH], 0)


# -- what goes wrong ------------------------------------------------------------------------


@on_tensorflow
def test_a_model_that_was_not_restored_begins_with_the_data_anew(tmp_path):
    train(tmp_path, 5, 2)
    for path in (tmp_path / "model").iterdir():
        path.unlink()
    assert train(tmp_path, None, 2) == whole()


@on_tensorflow
def test_a_model_of_another_step_is_refused(tmp_path):
    train(tmp_path, 5, 2)
    path = tmp_path / "data.json"
    saved = json.loads(path.read_text())
    path.write_text(json.dumps({**saved, "states": saved["states"][:-1]}))
    with pytest.raises(StateMismatch, match=r"steps 0, 2 of the optimizer.* at step 4"):
        train(tmp_path, None, 2)


@on_tensorflow
def test_other_data_is_refused(tmp_path):
    train(tmp_path, 5, 2)
    with pytest.raises(StateMismatch, match="length was 7 and is 8 here"):
        train(tmp_path, None, 2, Batches(8))


@on_tensorflow
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no file of a LoaderCheckpoint, or damaged"),
        ("[]", "is no file of a LoaderCheckpoint"),
        ('{"version": 1, "states": [[3]]}', "is no file of a LoaderCheckpoint"),
        ('{"version": 9, "states": []}', "another fastfeed: its version is 9, and 1 is known here"),
    ],
)
def test_a_damaged_file_is_named(text, message, tmp_path):
    (tmp_path / "data.json").write_text(text)
    with pytest.raises(StateMismatch, match=rf"data\.json .*{message}"):
        train(tmp_path)
    assert (tmp_path / "data.json").read_text() == text


@on_tensorflow
def test_what_it_is_given_is_checked(tmp_path, make_model):
    for save_freq in (0, True, "batch", 1.5):
        with pytest.raises(ArgumentError, match=r'save_freq is "epoch" or a number of batches'):
            LoaderCheckpoint(tmp_path / "data.json", save_freq=save_freq)
    with (
        fastfeed.Loader(Batches(4)) as loader,
        pytest.raises(ArgumentError, match=r"takes what .*adapter.*Received: Loader"),
    ):
        LoaderCheckpoint(tmp_path / "data.json", loader)
    x, y = batch(0)
    callbacks = [LoaderCheckpoint(tmp_path / "data.json")]
    with pytest.raises(ArgumentError, match="has to know what is read"):
        make_model().fit(x, y, verbose=0, callbacks=callbacks)


@on_tensorflow
def test_old_states_are_dropped_but_for_the_first(tmp_path, monkeypatch):
    monkeypatch.setattr("fastfeed.keras.checkpoint.KEPT", 3)
    train(tmp_path, 10, 1)
    saved = json.loads((tmp_path / "data.json").read_text())
    assert [step for step, _ in saved["states"]] == [0, 9, 10]


@on_tensorflow
def test_a_full_disk_leaves_the_states_that_were_there(tmp_path, monkeypatch):
    path = tmp_path / "data.json"
    checkpoint.write(path, {0: {"epoch": 0}})

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.write(path, {7: {"epoch": 1}})
    assert os.listdir(tmp_path) == ["data.json"]
    assert checkpoint.read(path) == {0: {"epoch": 0}}
