"""Training under a distribution strategy, in a process of its own: TensorFlow is told of its two
devices before it runs anything.
"""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent

SCRIPT = """
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

import tf_keras
from keras_models import assert_same_weights
from keras_sources import Batches, endless
from tf_keras_own import Sequence

import fastfeed


def build():
    tf_keras.utils.set_random_seed(7)
    with tf.distribute.MirroredStrategy(["cpu:0", "cpu:1"]).scope():
        model = tf_keras.Sequential([tf_keras.Input((4,)), tf_keras.layers.Dense(3)])
        model.compile("sgd", "mse")
    assert model.distribute_strategy.num_replicas_in_sync == 2
    return model


def check(source, own_source, **options):
    ours, own = build(), build()
    options = {"epochs": 2, "verbose": 0, "shuffle": False, **options}
    expected = own.fit(own_source, **options)
    history = fastfeed.fit_generator(ours, source, data_wait=False, workers=2, **options)
    assert_same_weights(ours, own)
    assert history.history == expected.history


check(Batches(), Sequence(Batches()), validation_data=Sequence(Batches(3)))
check(endless(), endless(), steps_per_epoch=5)
print("done")
"""


def test_weights_equal_those_of_fit_on_two_devices():
    paths = [str(HERE), str(HERE.parent / "keras"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=environment, timeout=100
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("done\n")
