"""Callbacks, and hooks of the source: called as by Keras's own fit, and with the same effect."""

import keras
import pytest
from keras_models import assert_same_weights
from keras_own import Dataset
from keras_sources import WORKERS, Batches, Reordering, batch, endless, finite

import fastfeed
from fastfeed.keras import fit_generator


class Interrupt(keras.callbacks.Callback):
    """Presses Ctrl-C in an epoch."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch == self.epoch

    def on_train_batch_end(self, step, logs=None):
        if self.now and step == 2:
            raise KeyboardInterrupt


def both_ways(make_model, callbacks, source=None, **options):
    """Train with the callbacks that `callbacks()` makes; return our model's and Keras's own."""
    source = source or Batches()
    options = {"epochs": 4, "verbose": 0, "shuffle": False, **options}
    ours, keras_own = make_model(), make_model()
    expected = keras_own.fit(Dataset(source), callbacks=callbacks(), **options)
    history = fit_generator(ours, source, callbacks=callbacks(), data_wait=False, **options)
    assert history.history == expected.history
    assert history.epoch == expected.epoch
    return ours, keras_own


def test_lambda_callback_of_keras_2(make_model):
    """Its on_batch_end, too, is called as often as Keras calls it."""
    seen = []

    def callback():
        seen.append([])
        calls = seen[-1]
        return keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: calls.append(("epoch", epoch, logs["loss"])),
            on_train_batch_end=lambda step, logs: calls.append(("step", step)),
            on_batch_end=lambda step, logs: calls.append(("batch", step)),
        )

    assert_same_weights(*both_ways(make_model, callback))
    own, ours = map(sorted, seen)  # on JAX, Keras calls them from several threads
    assert ours == own
    assert [call[1] for call in ours if call[0] == "epoch"] == [0, 1, 2, 3]
    assert len([call for call in ours if call[0] == "step"]) == 40


class OldLogger(keras.callbacks.Callback):
    """Has the name of Keras 1 and 2 for a step's end."""

    def __init__(self):
        super().__init__()
        self.steps = []

    def on_batch_end(self, step, logs=None):
        self.steps.append(step)


def test_on_batch_end(make_model):
    logger = OldLogger()
    fit_generator(make_model(), Batches(3), None, 2, 0, [logger])
    assert sorted(logger.steps) == [0, 0, 1, 1, 2, 2]


def test_early_stopping_with_the_best_weights(make_model):
    def stopping():
        return keras.callbacks.EarlyStopping(
            "val_loss", patience=1, mode="max", restore_best_weights=True
        )

    ours, keras_own = both_ways(
        make_model, stopping, validation_data=batch(100), epochs=6
    )  # the loss falls, so that with mode="max" the first epoch stays the best
    assert_same_weights(ours, keras_own)
    assert ours.optimizer.iterations == 20


def test_learning_rate_schedule(make_model):
    assert_same_weights(
        *both_ways(
            make_model,
            lambda: keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5),
        )
    )


@pytest.mark.parametrize("way", ["thread", "processes"])
def test_backup_and_restore_after_an_interruption(way, make_model, tmp_path):
    def interrupted_and_begun_again(fit, name):
        backup = keras.callbacks.BackupAndRestore(str(tmp_path / name))
        with pytest.raises(KeyboardInterrupt):
            fit(make_model(), [backup, Interrupt(epoch=2)])
        model = make_model()
        history = fit(model, [keras.callbacks.BackupAndRestore(str(tmp_path / name))])
        assert history.epoch == [2, 3]
        return model

    def own_fit(model, callbacks):
        return model.fit(
            Dataset(Batches()), epochs=4, verbose=0, shuffle=False, callbacks=callbacks
        )

    def our_fit(model, callbacks):
        return fit_generator(model, Batches(), None, 4, 0, callbacks, shuffle=False, **WORKERS[way])

    uninterrupted = make_model()
    own_fit(uninterrupted, [])
    ours = interrupted_and_begun_again(our_fit, "ours")
    keras_own = interrupted_and_begun_again(own_fit, "own")
    assert_same_weights(ours, keras_own)
    assert_same_weights(ours, uninterrupted)


def test_interruption_leaves_a_stream_where_it_was(recorder):
    with fastfeed.Loader(endless(), workers=1) as loader:
        with pytest.raises(KeyboardInterrupt):
            fit_generator(recorder, loader, 5, 3, 0, [Interrupt(epoch=1)])
        fit_generator(recorder, loader, 2, 1, 0)
    assert recorder.trained == list(range(10))


# -- hooks of the source -------------------------------------------------------------------------


class Counting(keras.utils.PyDataset):
    """The same as a PyDataset, with both hooks."""

    def __init__(self):
        super().__init__()
        self.calls = []
        self.shift = 0

    def __len__(self):
        return 6

    def __getitem__(self, index):
        return batch((index + self.shift) % 6)

    def on_epoch_end(self):
        self.calls.append("end")
        self.shift += 1


@pytest.mark.parametrize("way", WORKERS)
def test_on_epoch_end_comes_between_the_epochs(way, recorder):
    """Once, when nothing of the old epoch is being made, in every copy of the source."""
    source = Reordering()
    fit_generator(recorder, source, None, 3, 0, shuffle=False, **WORKERS[way])
    assert recorder.trained == [0, 1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 0, 2, 3, 4, 5, 0, 1]
    assert source.ends >= 2


def test_on_epoch_end_of_a_pydataset(recorder):
    """Keras calls it once more before the first epoch (its reset); Keras 2 did not, nor do we."""
    source = Counting()
    fit_generator(recorder, source, None, 3, 0, shuffle=False)
    assert recorder.trained == [(step + epoch) % 6 for epoch in range(3) for step in range(6)]


# -- how much is read ----------------------------------------------------------------------------


def test_no_more_is_pulled_from_a_generator_than_asked_for(recorder):
    """max_queue_size batches ahead of the last step, and no more: nothing is read for a look."""
    pulled = []

    def counted():
        for item in finite(100):
            pulled.append(len(pulled))
            yield item

    fit_generator(recorder, counted(), 5, 2, 0, max_queue_size=2, workers=0)
    assert len(recorder.trained) == len(pulled) == 10
