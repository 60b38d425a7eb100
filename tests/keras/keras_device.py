"""A simulated GPU under a real fit.

Batches go through page-locked slots, the upload thread and device buffers of the simulated driver.
Where Keras's backend would take over the device memory, it gets a tensor of its own with what the
driver reads there. So all is real but the framework's import and the place where it computes.
"""

import sys
import weakref
from pathlib import Path

import keras
import numpy as np
import pytest

sys.path.append(str(Path(__file__).resolve().parents[1] / "device"))

from simulated_gpu import LIBRARY, SimulatedArray

from fastfeed.devices import arrays, target
from fastfeed.keras import host


def tensor_maker(backend):
    """Return what makes a backend's tensor of an array, without a copy."""
    if backend == "torch":
        import torch

        return torch.from_numpy
    if backend == "jax":
        import jax

        return jax.numpy.asarray
    import tensorflow as tf

    return tf.constant


class Framework:
    """Stands for a backend's way of taking over device memory.

    As long as a tensor lives, so does the array on the device that it was made of, and its memory
    must not change.

    Attributes
    ----------
    taken : int
        Arrays that it was given.
    changed : int
        Arrays in whose memory something else was written while their tensors lived.
    """

    def __init__(self, gpu, backend):
        self.taken = self.changed = 0
        self._gpu = gpu
        self._make = tensor_maker(backend)

    def __call__(self, tensor):
        array = SimulatedArray(self._gpu, tensor)
        values = np.array(array)
        made = self._make(values.copy())
        weakref.finalize(made, self._let_go, array, values)
        self.taken += 1
        return made

    def _let_go(self, array, values):
        self.changed += not np.array_equal(np.array(array), values)


def put_in(monkeypatch, gpu, backend):
    """Have the Loader find the simulated GPU, and a backend use it; return the `Framework`."""
    framework = Framework(gpu, backend)
    monkeypatch.setenv("FASTFEED_CUDA_LIBRARY", str(LIBRARY))
    monkeypatch.setitem(arrays.DEVICE_IMPORTERS, backend, lambda: framework)
    monkeypatch.setattr(arrays, "CURRENT_STREAMS", {}, raising=False)
    monkeypatch.setattr(arrays, f"{backend}_gpus", lambda: 1)
    monkeypatch.setattr(arrays, "jax_tells_streams", lambda ordinal: True)
    monkeypatch.setattr(host, "own_device", lambda: "cuda:0")
    return framework


def copy_to_the_cpu(monkeypatch):
    """Have TensorFlow copy from page-locked slots to the device that there is."""
    make = target.hand_over_for_tensorflow
    monkeypatch.setattr(target, "hand_over_for_tensorflow", lambda device: make("/CPU:0"))
    monkeypatch.setitem(arrays.DEVICE_IMPORTERS, "tensorflow", arrays.IMPORTERS["tensorflow"])


def without_host(function):
    """Return a function that raises where it copies one of its tensors to the host."""
    if keras.backend.backend() == "jax":  # this gives it tensors without values
        import jax

        return jax.jit(function)
    if keras.backend.backend() == "tensorflow":  # so does this
        import tensorflow as tf

        return tf.function(function, autograph=False)

    def to_host(*_):
        raise AssertionError("a tensor was copied to the host")

    def watched(*tensors):
        with pytest.MonkeyPatch.context() as patched:
            for name in ("__array__", "numpy", "cpu"):
                patched.setattr(type(tensors[0]), name, to_host)
            return function(*tensors)

    return watched
