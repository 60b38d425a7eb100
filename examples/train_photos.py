"""Train a small network on JPEG photographs, fed by Keras's own way and by fastfeed.

Every training starts from the same weights and reads the same `PhotoSequence`; only the call that
feeds it differs: `feed_by_keras`, `feed_by_fastfeed`.  Before them one ready batch is fed again and
again: so fast the training would go if data cost nothing.  `step_clock` measures all three alike.

On a machine without a GPU the workers and the training step share the same cores: a step takes
longer while workers are busy, and no loader can bring the waiting down to nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import keras
import tensorflow as tf
from keras import layers
from photo_sequence import PhotoSequence
from photos import PHOTOS, list_photos
from report import Run
from step_clock import ClockedModel, EpochClock

import fastfeed

Feed = Callable[[keras.Model, PhotoSequence, int, list[keras.callbacks.Callback]], object]


def build_model(steps: int, image_size: int = 96) -> ClockedModel:
    """Make the network, with the same weights every time, to be trained for `steps` steps."""
    keras.utils.set_random_seed(0)
    inputs = x = keras.Input((image_size, image_size, 3))
    for filters in (16, 32, 64):
        x = layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.ReLU()(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = ClockedModel(inputs, layers.Dense(len(PHOTOS))(x))
    model.compile(
        optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(4e-3, steps)),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,
    )
    return model


def feed_one_batch(model, sequence, epochs, callbacks):
    """Train on the first batch alone: no data to make, none to wait for."""
    data = tf.data.Dataset.from_tensors(sequence[0]).repeat(len(sequence))
    return model.fit(data, epochs=epochs, callbacks=callbacks, shuffle=False, verbose=0)


def feed_by_keras(model, sequence, epochs, callbacks):
    """Train as Keras users do."""
    return model.fit(sequence, epochs=epochs, callbacks=callbacks, verbose=2)


def feed_by_fastfeed(model, sequence, epochs, callbacks, workers):
    """Train with the batches made by worker processes: the one call that differs."""
    return fastfeed.fit_generator(
        model,
        sequence,
        epochs=epochs,
        callbacks=callbacks,
        verbose=2,
        workers=workers,
        use_multiprocessing=True,
        max_queue_size=10,
    )


def train(
    name: str, feed: Feed, training: PhotoSequence, validation: PhotoSequence | None, epochs: int
) -> Run:
    """Train a new model by one way; `validation` is left out where nothing is to be learnt."""
    print(f"\n{name}", flush=True)
    model = build_model(epochs * len(training))
    clock = EpochClock()
    feed(model, training, epochs, [clock])
    accuracy = None
    if validation is not None:
        accuracy = model.evaluate(validation, verbose=0, return_dict=True)["accuracy"]
    return Run(name, clock.epochs, accuracy)


def compare(data: Path, epochs: int, workers: int) -> tuple[str, list[Run]]:
    """Train by each way in turn.

    Parameters
    ----------
    data : path
        As written by `photos.make_photos`.
    epochs : int
        Of each training, 2 or more.
    workers : int
        fastfeed's worker processes.

    Returns
    -------
    work : str
        What was trained on, in a line.
    runs : list of Run
    """
    tf.config.set_visible_devices([], "GPU")  # the step's clock is right on the CPU only
    training = PhotoSequence(*list_photos(data, "train"), augment=True)
    validation = PhotoSequence(*list_photos(data, "validation"))
    work = f"{len(training.files)} JPEG photographs, batches of {training.batch_size}"
    print(f"{work}; {len(validation.files)} more for validation; in {data}")
    by_fastfeed = partial(feed_by_fastfeed, workers=workers)
    name = f"fastfeed, {workers} worker processes"
    runs = [
        train("one ready batch, no data work", feed_one_batch, training, None, epochs=3),
        train("Keras, model.fit", feed_by_keras, training, validation, epochs),
        train(name, by_fastfeed, training, validation, epochs),
    ]
    return work, runs
