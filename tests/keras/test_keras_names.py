"""Keras 1's names of arguments: what they mean, and what is said about them."""

import warnings

import numpy as np
import pytest
from keras_sources import Batches, batch, endless

import fastfeed
from fastfeed.errors import ArgumentError
from fastfeed.keras import evaluate_generator, fit_generator, predict_generator

ALL = [fit_generator, evaluate_generator, predict_generator]


def warnings_of(function, *args, **kwargs):
    """Return what a call returns, and the words of its warnings: those that point to here."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = function(*args, **kwargs)
    told = [w for w in caught if w.category is DeprecationWarning and w.filename == __file__]
    return result, [str(w.message) for w in told]


def test_a_call_of_keras_1_trains_as_that_of_keras_2(make_model):
    old, new = make_model(), make_model()
    _, told = warnings_of(
        fit_generator,
        old,
        endless(),
        samples_per_epoch=30,
        nb_epoch=2,
        verbose=0,
        validation_data=endless(50),
        nb_val_samples=12,
        max_q_size=4,
        nb_worker=1,
        pickle_safe=False,
    )
    expected = fit_generator(new, endless(), 5, 2, 0, None, endless(50), 2)
    assert old.history.history["val_loss"] == expected.history["val_loss"]
    for ours, theirs in zip(old.get_weights(), new.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    old_names = [words.split()[0] for words in told]
    assert old_names == [
        "samples_per_epoch",
        "nb_epoch",
        "nb_val_samples",
        "max_q_size",
        "nb_worker",
        "pickle_safe",
    ]
    assert "Write steps_per_epoch, which counts batches" in told[0]
    assert told[3] == "max_q_size is a name of Keras 1. Write max_queue_size."


def test_the_old_names_of_the_queue_and_the_workers_have_an_effect(make_model):
    with (
        pytest.warns(DeprecationWarning),
        pytest.raises(ArgumentError, match=r"worker processes cannot share it.*workers=2"),
    ):
        fit_generator(make_model(), endless(), 2, nb_worker=2, pickle_safe=True)
    with pytest.warns(DeprecationWarning), pytest.raises(ArgumentError, match="max_queue_size=0"):
        fit_generator(make_model(), Batches(), max_q_size=0)


@pytest.mark.parametrize("samples", [29, 30.0, np.int64(30), 25])
def test_samples_become_steps_by_the_size_of_the_first_batch(samples, recorder):
    with pytest.warns(DeprecationWarning):
        fit_generator(recorder, endless(), samples_per_epoch=samples, epochs=3, verbose=0)
    assert recorder.trained == list(range(15)), "the batch that was looked at is trained too"


def test_samples_become_steps_by_batch_size(recorder):
    x, y = (np.concatenate(parts) for parts in zip(*map(batch, range(6)), strict=True))
    with pytest.warns(DeprecationWarning):
        fit_generator(
            recorder, (x, y), samples_per_epoch=20, batch_size=6, shuffle=False, verbose=0
        )
    assert recorder.trained == [0, 1, 2, 3]


@pytest.mark.parametrize("seed", range(4))
def test_a_short_batch_that_comes_first_is_not_taken_for_a_full_one(seed, recorder):
    """Three batches in a new order, of 6, 6 and 4 samples."""
    with pytest.warns(DeprecationWarning):
        fit_generator(recorder, Batches(3), samples_per_epoch=16, seed=seed, verbose=0)
    assert sorted(recorder.trained) == [0, 1, 2]


def test_a_source_may_say_how_large_its_batches_are(recorder):
    class Telling(Batches):
        batch_size = 2

    with pytest.warns(DeprecationWarning):
        fit_generator(recorder, Telling(), samples_per_epoch=8, shuffle=False, verbose=0)
    assert recorder.trained == [0, 1, 2, 3]


def test_samples_of_a_ready_loader(recorder):
    with (
        fastfeed.Loader(endless(), framework="numpy") as loader,
        pytest.warns(DeprecationWarning, match="samples_per_epoch"),
    ):
        fit_generator(recorder, loader, samples_per_epoch=18, nb_epoch=2, verbose=0)
    assert recorder.trained == [0, 1, 2, 3, 4, 5]


def test_samples_of_evaluations_and_predictions(make_model):
    model = make_model()
    loss, told = warnings_of(evaluate_generator, model, endless(), val_samples=18)
    assert loss == evaluate_generator(model, endless(), 3)
    assert told == [
        "val_samples is a name of Keras 1 and counts samples. Write steps, which counts batches: "
        "the number of samples divided by the batch size."
    ]
    predicted, _ = warnings_of(predict_generator, model, endless(), val_samples=13, nb_worker=1)
    assert len(predicted) == 18


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (fit_generator, {"samples_per_epoch": 30, "steps_per_epoch": 5}),
        (fit_generator, {"nb_epoch": 1, "epochs": 1}),
        (fit_generator, {"max_q_size": 10, "max_queue_size": 10}),
        (evaluate_generator, {"val_samples": 30, "steps": 5}),
        (predict_generator, {"pickle_safe": False, "use_multiprocessing": False}),
    ],
)
def test_both_names_at_once_are_refused(function, arguments, make_model):
    old, new = arguments
    words = rf"{old} is Keras 1's name of {new}.*Received: {old}=.*, {new}="
    with pytest.raises(ArgumentError, match=words):
        function(make_model(), Batches(), **arguments)


def test_a_name_may_not_repeat_a_positional_argument(make_model):
    with pytest.raises(ArgumentError, match=r"Received: nb_epoch=3, epochs=2"):
        fit_generator(make_model(), Batches(), 5, 2, nb_epoch=3)


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (fit_generator, "val_samples"),
        (fit_generator, "nb_batch"),
        (evaluate_generator, "nb_epoch"),
        (evaluate_generator, "samples_per_epoch"),
        (predict_generator, "nb_val_samples"),
    ],
)
def test_names_without_a_meaning_here_are_refused(function, name, make_model):
    with pytest.raises(ArgumentError, match=f"no argument '{name}'"):
        function(make_model(), Batches(), **{name: 3})


@pytest.mark.parametrize("samples", [0, -30, float("nan"), "30", True])
def test_samples_must_be_a_number(samples, make_model):
    with (
        pytest.warns(DeprecationWarning),
        pytest.raises(ArgumentError, match=r"samples_per_epoch must be .*samples_per_epoch="),
    ):
        fit_generator(make_model(), endless(), samples_per_epoch=samples)


def test_samples_of_data_that_is_left_to_keras_are_refused(make_model):
    arrays = tuple(np.concatenate(parts) for parts in zip(batch(0), batch(1), strict=True))
    with (
        pytest.warns(DeprecationWarning),
        pytest.raises(ArgumentError, match=r"left to Keras.*nb_val_samples=6"),
    ):
        fit_generator(make_model(), Batches(), validation_data=arrays, nb_val_samples=6)


def test_batches_without_rows_do_not_tell_their_size(make_model):
    with (
        pytest.warns(DeprecationWarning),
        pytest.raises(ArgumentError, match=r"cannot be seen how many samples"),
    ):
        predict_generator(make_model(), (np.float32(i) for i in range(3)), val_samples=2)
