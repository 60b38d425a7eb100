"""Keras 2's arguments: which are taken, and what is said about the others."""

import numpy as np
import pytest
from keras_sources import BACKEND, Batches, endless

import fastfeed
from fastfeed.errors import ArgumentError, UnsupportedHost
from fastfeed.keras import evaluate_generator, fit_generator, predict_generator
from fastfeed.keras.arguments import LoaderArguments, whole_steps

ALL = [fit_generator, evaluate_generator, predict_generator]


@pytest.mark.parametrize("function", ALL)
def test_unknown_argument_is_named_with_those_that_exist(function, make_model):
    with pytest.raises(ArgumentError, match=r"no argument 'batchsize'.*batch_size.*batchsize=8"):
        function(make_model(), Batches(), batchsize=8)


@pytest.mark.parametrize(
    ("name", "meant"),
    [("batchsize", "batch_size"), ("num_workers", "workers"), ("epoch", "epochs")],
)
def test_a_misspelt_argument_says_which_was_meant(name, meant, make_model):
    with pytest.raises(ArgumentError, match=f"no argument '{name}'. Did you mean {meant}\\?"):
        fit_generator(make_model(), Batches(), **{name: 8})


@pytest.mark.parametrize("function", ALL)
def test_framework_cannot_be_chosen(function, make_model):
    with pytest.raises(ArgumentError, match="framework='jax'"):
        function(make_model(), Batches(), framework="jax")


def test_a_rank_is_trained_on_its_share(recorder):
    fit_generator(recorder, Batches(9), shuffle=False, shard=(1, 2), verbose=0)
    fit_generator(recorder, Batches(9), shuffle=False, shard=(1, 2), uneven="pad", verbose=0)
    assert recorder.trained == [1, 3, 5, 7, *[1, 3, 5, 7, 0]]


@pytest.mark.parametrize("function", ALL)
def test_source_without_length_needs_steps(function, make_model):
    with pytest.raises(ArgumentError, match=r"steps.* is missing. A generator does not say"):
        function(make_model(), endless())


def test_validation_source_without_length_needs_steps(make_model):
    with pytest.raises(ArgumentError, match="validation_steps is missing"):
        fit_generator(make_model(), Batches(), validation_data=endless())


@pytest.mark.parametrize("steps", [0, -3, float("nan"), float("inf"), "10", True])
def test_steps_must_be_a_number_of_batches(steps):
    with pytest.raises(ArgumentError, match="Received: steps_per_epoch="):
        whole_steps(steps, "steps_per_epoch")


@pytest.mark.parametrize(("steps", "whole"), [(3, 3), (3.125, 4), (np.int64(5), 5), (None, None)])
def test_steps_are_rounded_up(steps, whole):
    assert whole_steps(steps, "steps") == whole


def test_predictions_keep_their_order(make_model):
    for option in ({"shuffle": True}, {"ordered": False}):
        with pytest.raises(ArgumentError, match="in the order of the source"):
            predict_generator(make_model(), Batches(), **option)


def test_shuffle_says_nothing_about_a_stream():
    asked = LoaderArguments(shuffle=True)
    assert asked.for_source(Batches())["shuffle"] is True
    assert asked.for_source(endless())["shuffle"] is False
    assert asked.for_source(endless)["shuffle"] is False


def test_attributes_of_a_pydataset_count_where_the_call_leaves_the_defaults():
    import keras

    class OwnWorkers(keras.utils.PyDataset):
        def __len__(self):
            return 1

        def __getitem__(self, index):
            raise NotImplementedError

    source = OwnWorkers(workers=7, use_multiprocessing=True, max_queue_size=3)
    options = LoaderArguments(workers=2).for_source(source)
    assert (options["workers"], options["max_queue_size"]) == (2, 3)
    assert options["use_multiprocessing"] is True


def test_one_process_for_a_generator_object_becomes_a_thread_and_says_so(make_model):
    with pytest.warns(UserWarning, match="runs in a thread"):
        history = fit_generator(make_model(), endless(), 2, use_multiprocessing=True, verbose=0)
    assert len(history.history["loss"]) == 1


def test_generator_object_cannot_be_shared_by_processes(make_model):
    with pytest.raises(ArgumentError, match="worker processes cannot share it"):
        fit_generator(make_model(), endless(), 2, workers=2, use_multiprocessing=True)


@pytest.mark.parametrize("option", [{"workers": 3}, {"shuffle": False}, {"batch_size": 4}])
def test_options_beside_a_ready_loader_are_refused(option, make_model):
    with (
        fastfeed.Loader(Batches(), workers=0, framework=BACKEND) as loader,
        pytest.raises(ArgumentError, match=f"have no effect.*{next(iter(option))}"),
    ):
        fit_generator(make_model(), loader, **option)


@pytest.mark.parametrize("function", ALL)
def test_model_comes_first(function):
    with pytest.raises(ArgumentError, match="first argument must be a Keras 3 model"):
        function(Batches(), object())


def test_adapter_takes_loaders_of_the_right_framework_only():
    with pytest.raises(ArgumentError, match=r"takes a fastfeed\.Loader"):
        fastfeed.keras.adapter(Batches())
    other = "torch" if BACKEND == "jax" else "jax"
    with (
        fastfeed.Loader(Batches(), workers=0, framework=other) as loader,
        pytest.raises(ArgumentError, match=f'framework="{BACKEND}".*framework="{other}"'),
    ):
        fastfeed.keras.adapter(loader)


def test_old_keras_is_told_what_to_install(monkeypatch, make_model):
    import keras

    model = make_model()
    monkeypatch.setattr(keras, "__version__", "3.6.0")
    with pytest.raises(UnsupportedHost, match=r'3.6.0 is too old.*pip install "keras>=3.7"'):
        fit_generator(model, Batches())


def test_the_numbers_may_be_found_while_it_trains(make_model, monkeypatch):
    loaders = []
    monkeypatch.setattr(fastfeed.Loader, "close", noting(loaders, fastfeed.Loader.close))
    history = fit_generator(make_model(), Batches(), workers="auto", max_queue_size="auto")
    assert len(history.history["loss"]) == 1
    assert [loader.autotune is not None for loader in loaders] == [True]
    with pytest.raises(ArgumentError, match="Received: workers='most'"):
        fit_generator(make_model(), Batches(), workers="most")


def noting(found, method):
    def call(loader):
        found.append(loader)
        method(loader)

    return call


def test_a_generator_object_has_one_worker_however_it_is_asked_for(make_model):
    asked = LoaderArguments(workers="auto", use_multiprocessing=True)
    with pytest.warns(UserWarning, match="runs in a thread"):
        assert asked.for_source(endless())["use_multiprocessing"] is False
