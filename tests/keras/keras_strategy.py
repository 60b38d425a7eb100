"""Models under a strategy over two virtual CPUs, where TensorFlow has not begun yet."""

import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

import keras  # noqa: E402

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert strategy.num_replicas_in_sync == 2


def make_model(**options):
    keras.utils.set_random_seed(7)
    with strategy.scope():
        model = keras.Sequential(
            [keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3, "softmax")]
        )
        model.compile("adam", "mse", **options)
    return model


class Recorder(keras.Model):
    """Notes the number of each batch that was trained and tested, on the first of the devices."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(3)
        self.trained, self.tested = [], []

    def call(self, x):
        return self.dense(x)

    def note(self, where, data):
        def on_the_first(x, replica):
            if replica == 0:
                where.append(int(x))

        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        tf.py_function(on_the_first, [data[0][0, 0], replica], [])

    def train_step(self, data):
        self.note(self.trained, data)
        return super().train_step(data)

    def test_step(self, data):
        self.note(self.tested, data)
        return super().test_step(data)


def make_recorder():
    with strategy.scope():
        model = Recorder()
        model.compile("sgd", "mse")
    return model
