"""Measure, from outside any loader, how long a Keras training step waits for its data.

A callback cannot see it: on the TensorFlow backend ``on_train_batch_begin`` comes *before* the next
batch is asked for, and for a ``tf.data`` iterator (which is what Keras makes of a ``PyDataset``)
the asking happens inside the compiled function.  So the clock sits in the step itself.
`ClockedModel.train_step` reads the time when its batch has arrived and again when every weight has
been updated; the sum of these spans is the time in which the step computed.  The rest of an epoch's
wall time is the time in which it did not: it waited for data, or Keras's own loop kept it.  How
much the loop alone takes is seen by feeding one ready batch again and again through the same clock.

A step that shares its cores with the makers of the data takes longer.  That counts as computing,
not as waiting; the clock's milliseconds a step show it.

On a GPU a step's kernels run behind the call that starts them, so there the clock would stop too
early: it is right on the CPU only.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import keras
import tensorflow as tf


class ClockedModel(keras.Model):
    """A model that adds up the seconds its training steps compute in `computed`.

    Made like any functional model, ``ClockedModel(inputs, outputs)``; to be compiled with
    ``jit_compile=False``, since XLA cannot read a clock.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.computed = tf.Variable(0.0, dtype=tf.float64, trainable=False)  # seconds

    def train_step(self, data):
        """Keras's own step between two readings of the clock."""
        with tf.control_dependencies(keras.tree.flatten(data)):
            begin = tf.timestamp()
        with tf.control_dependencies([begin]):
            data = keras.tree.map_structure(tf.identity, data)
        logs = super().train_step(data)
        # A variable is read after its update: without these reads the clock would be read early.
        written = self.variables + self.optimizer.variables
        done = keras.tree.flatten(logs) + [tf.identity(variable.value) for variable in written]
        with tf.control_dependencies(done):
            end = tf.timestamp()
        self.computed.assign_add(end - begin)
        return logs


@dataclass(frozen=True)
class EpochTime:
    """One epoch: its wall time and the part in which the steps computed, both in seconds."""

    seconds: float
    computed: float
    steps: int


class EpochClock(keras.callbacks.Callback):
    """Record an `EpochTime` for every epoch of a `ClockedModel`.

    An epoch runs from the end of the one before, so that the time a loader takes to begin again
    belongs to it.  The first one also holds tracing and the start of worker processes.
    """

    def on_train_begin(self, logs=None):
        self.epochs: list[EpochTime] = []
        self._start(time.perf_counter())

    def _start(self, now: float) -> None:
        self._begin, self._computed, self._steps = now, float(self.model.computed), 0

    def on_train_batch_end(self, batch, logs=None):
        self._steps += 1

    def on_epoch_end(self, epoch, logs=None):
        now = time.perf_counter()
        computed = float(self.model.computed) - self._computed
        self.epochs.append(EpochTime(now - self._begin, computed, self._steps))
        self._start(now)
