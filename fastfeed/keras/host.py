"""What must be true of the installed Keras, and of a model, before it can be fed.

The one door into ``fit`` that costs no copy is Keras's own `DataAdapter`: private, but handed
through by every ``fit``, ``evaluate`` and ``predict`` since Keras 3.7. This is the only file that
knows where it lives.
"""

from __future__ import annotations

from typing import Any

from fastfeed.errors import ArgumentError, UnsupportedHost

OLDEST_KERAS = (3, 7)
"""First version whose ``fit`` takes a data adapter made by others."""

BACKENDS = ("tensorflow", "torch", "jax")
"""Backends of Keras that can be fed. Their names are also those of the Loader's frameworks."""


def backend() -> str:
    """Return the name of Keras's backend.

    Raises
    ------
    UnsupportedHost
        Keras is missing or older than 3.7, or runs on a backend that cannot be fed.
    """
    name = str(_keras().backend.backend())
    if name not in BACKENDS:
        raise UnsupportedHost(
            f"Keras runs on the {name} backend, and fastfeed feeds Keras on {' or '.join(BACKENDS)}"
            " only. Set the environment variable KERAS_BACKEND=tensorflow before Keras is imported,"
            " or loop over a fastfeed.Loader in a training loop of your own."
        )
    return name


def data_adapter_class() -> Any:
    """Return the base class of Keras's data adapters.

    Raises
    ------
    UnsupportedHost
        As for `backend`, or this Keras has no such class.
    """
    backend()
    try:
        from keras.src.trainers.data_adapters.data_adapter import DataAdapter
    except ImportError as error:
        raise UnsupportedHost(_wrong_version("has moved its DataAdapter class")) from error
    return DataAdapter


def check_model(model: Any) -> None:
    """Raise unless `model` is a Keras 3 model.

    Raises
    ------
    ArgumentError
        `model` is something else, such as a model of ``tf_keras``.
    UnsupportedHost
        As for `backend`.
    """
    backend()
    if not isinstance(model, _keras().Model):
        kind = f"{type(model).__module__}.{type(model).__qualname__}"
        raise ArgumentError("The first argument must be a Keras 3 model (keras.Model).", kind)


def check_device(device: str) -> None:
    """Raise unless Keras computes on the GPU where a loader's batches lie.

    Raises
    ------
    ArgumentError
        It would copy every batch to where it does compute.
    """
    own = own_device()
    if own == device:
        return
    cure = f'write device="{own}"' if own.startswith("cuda") else "leave out device"
    raise ArgumentError(
        f"Keras on {backend()} computes on {own}, so each step would copy its batch from {device} "
        f"to there: {cure}. Keras chooses its device when it is imported, from what the backend "
        "sees then (KERAS_TORCH_DEVICE, JAX_PLATFORMS and CUDA_VISIBLE_DEVICES matter).",
        f'device="{device}"',
    )


def own_device() -> str:
    """Return the device on which Keras makes tensors, GPUs as the Loader names them: "cuda:0"."""
    tensor = _keras().ops.zeros(())
    if backend() == "torch":
        return str(tensor.device)
    if backend() == "jax":
        (device,) = tensor.devices()
        is_gpu = device.platform in ("gpu", "cuda")
        return f"cuda:{device.local_hardware_id}" if is_gpu else str(device.platform)
    return str(tensor.device).rpartition("device:")[2].lower().replace("gpu", "cuda")


def has_strategy(model: Any) -> bool:
    """Tell whether a model (or None) is trained under a ``tf.distribute`` strategy."""
    if backend() != "tensorflow":
        return False
    import tensorflow as tf

    # Outside of every scope get_strategy() gives the default strategy, of which there is one.
    return bool(tf.distribute.has_strategy()) or (
        model is not None and model.distribute_strategy is not tf.distribute.get_strategy()
    )


def _keras() -> Any:
    """Import Keras and check its version."""
    try:
        import keras
    except ImportError as error:
        raise UnsupportedHost(
            'Keras is not installed. Install it with: pip install "fastfeed[tensorflow]"'
        ) from error
    if tuple(int(part) for part in keras.__version__.split(".")[:2]) < OLDEST_KERAS:
        raise UnsupportedHost(_wrong_version("is too old: its fit() takes no data adapter"))
    return keras


def _wrong_version(complaint: str) -> str:
    import keras

    oldest = ".".join(map(str, OLDEST_KERAS))
    return (
        f"The installed Keras {keras.__version__} {complaint}. fastfeed works with Keras {oldest} "
        f'and newer, tested with 3.15. Install it with: pip install "keras>={oldest}"'
    )
