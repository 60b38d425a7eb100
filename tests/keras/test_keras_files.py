"""Models are trained from files, and validated on them."""

import h5py
import keras
import numpy as np
import pytest

import fastfeed


def test_training_and_validation_read_the_files(tmp_path):
    x = np.arange(200, dtype="float32").reshape(50, 4) / 200
    y = x.sum(axis=1, keepdims=True)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = x
        file.create_dataset("y", data=y, chunks=(7, 1))
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    source = fastfeed.files.hdf5(tmp_path / "a.h5", ("x", "y"))
    history = fastfeed.fit_generator(
        model, source, batch_size=8, epochs=3, workers=2, validation_data=source, verbose=0
    ).history
    assert history["loss"][2] < history["loss"][0]
    expected = np.mean((model.predict(x, verbose=0) - y) ** 2)
    assert history["val_loss"][2] == pytest.approx(expected, rel=1e-4)
