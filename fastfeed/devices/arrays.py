"""Hands batches that lie on a GPU over to a framework, without a copy.

Each array is given as a DLPack capsule that is a user of the buffer, with a deleter in plain C. The
framework says on which stream it will read, and that stream, not the host, waits for the upload;
when the last array is gone the buffer waits for that stream in turn. JAX computes on streams that
it tells nobody, so what it was given is written again only after the GPU was seen idle.

TensorFlow has no way to say its stream either, and frees memory before its kernels have run. So by
default it gets tensors over the page-locked slots and copies them itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastfeed._core import DeviceLease
from fastfeed.devices.cuda import version
from fastfeed.devices.handover import (
    DLPACK_TYPES,
    IMPORTERS,
    HandOver,
    convert_leaves,
    import_framework,
    through_dlpack,
)
from fastfeed.devices.streams import LEGACY_STREAM
from fastfeed.errors import ArgumentError, DeviceUnavailable, SourceError
from fastfeed.structure import ArrayLeaf, Tree, leaf_bytes

DEVICE_FRAMEWORKS = ("cupy", "torch", "tensorflow", "jax")


def cupy_importer() -> Callable[[Any], Any]:
    """Import CuPy."""
    import cupy

    check_cupy(cupy)
    return cupy.from_dlpack  # type: ignore[no-any-return]


def check_cupy(cupy: Any) -> None:
    """Raise unless this CuPy can use this machine's driver.

    Raises
    ------
    DeviceUnavailable
        It was built for a newer CUDA than the driver can do.
    """
    built_for = cupy.cuda.runtime.runtimeGetVersion()
    can_do = cupy.cuda.runtime.driverGetVersion()
    if built_for // 1000 > can_do // 1000:
        raise DeviceUnavailable(
            f"This CuPy was built for CUDA {version(built_for)}, and the driver can do "
            f"{version(can_do)}. Install the CuPy for that: pip uninstall cupy-cuda"
            f"{built_for // 1000}x, then pip install cupy-cuda{can_do // 1000}x; or a newer driver."
        )


def torch_importer() -> Callable[[Any], Any]:
    """Import PyTorch. It reads on its current stream, which is told once a batch."""
    import torch

    from_dlpack = torch.utils.dlpack.from_dlpack
    return lambda tensor: from_dlpack(tensor.capsule())


def jax_importer() -> Callable[[Any], Any]:
    """Import JAX. On a GPU that it does not use by itself arrays stay committed, as those of
    `jax.device_put`: JAX would copy others to its own.
    """
    import jax

    own, uncommitted = jax_ordinal(), IMPORTERS["jax"]()
    committed = jax.dlpack.from_dlpack

    def imported(tensor: Any) -> Any:
        _, ordinal = tensor.__dlpack_device__()
        return uncommitted(tensor) if ordinal == own else committed(tensor)

    return imported


def jax_ordinal() -> int:
    """Return the number of the GPU that JAX uses by itself; 0 where that is none."""
    import jax

    (own,) = jax.numpy.zeros(()).devices()
    return int(own.local_hardware_id) if own.platform in ("gpu", "cuda") else 0


def jax_tells_streams(ordinal: int) -> bool:
    """Tell whether JAX says on which stream it will read, and orders what it computes behind that.

    Of its clients for GPUs one does. The other takes it that the bytes are there already.
    """
    import jax

    (device,) = (d for d in jax.local_devices(backend="gpu") if d.local_hardware_id == ordinal)
    try:
        device.get_stream_for_external_ready_events()
    except Exception:  # whichever error it has for what it has not implemented
        return False
    return True


def torch_stream(ordinal: int) -> Callable[[], int]:
    """Return what gives PyTorch's current stream, as DLPack numbers it."""
    import torch

    current_stream = torch.cuda.current_stream
    return lambda: current_stream(ordinal).cuda_stream or LEGACY_STREAM


DEVICE_IMPORTERS = {
    **IMPORTERS,
    "cupy": cupy_importer,
    "torch": torch_importer,
    "jax": jax_importer,
}
CURRENT_STREAMS = {"torch": torch_stream}
"""Where it is quicker to ask for the stream once than to be told it with each array."""


def current_ordinal(framework: str) -> int:
    """Return the number of the GPU that a framework uses when none is named."""
    if framework == "torch":
        import torch

        return int(torch.cuda.current_device()) if torch.cuda.is_available() else 0
    if framework == "cupy":
        import cupy

        return int(cupy.cuda.Device().id) if cupy.cuda.is_available() else 0
    return jax_ordinal() if framework == "jax" else 0


def check_sees_gpu(framework: str, ordinal: int) -> None:
    """Raise unless a framework can use the GPU that the driver has.

    Raises
    ------
    DeviceUnavailable
        It was built without CUDA, or is kept from the GPU.
    """
    count = {"torch": torch_gpus, "jax": jax_gpus, "tensorflow": tensorflow_gpus}.get(framework)
    seen = ordinal + 1 if count is None else count()
    if seen <= ordinal:
        raise DeviceUnavailable(
            f"The driver has the GPU cuda:{ordinal}, but {framework} sees {seen} of them: it may "
            f"have been installed without CUDA. Install its CUDA build, or leave out device."
        )


def torch_gpus() -> int:
    """Count the GPUs that PyTorch sees."""
    import torch

    return int(torch.cuda.device_count())


def jax_gpus() -> int:
    """Count the GPUs that JAX sees."""
    import jax

    try:
        return len(jax.devices("gpu"))
    except RuntimeError:  # it has no such backend
        return 0


def tensorflow_gpus() -> int:
    """Count the GPUs that TensorFlow sees."""
    import tensorflow as tf

    return len(tf.config.list_physical_devices("GPU"))


def hand_over_device(framework: str, ordinal: int, synchronise: bool) -> HandOver:
    """Return the function that makes a framework's batch of a lease on device memory.

    Parameters
    ----------
    synchronise : bool
        Have the host wait until the batch is there, for who reads it in ways that nobody knows.

    Raises
    ------
    ArgumentError, DeviceUnavailable
        The framework is not installed, or sees no GPU.
    """
    import_tensor = import_framework(framework, DEVICE_IMPORTERS)
    check_sees_gpu(framework, ordinal)
    anywhere = is_used_anywhere(framework, synchronise)
    synchronise = synchronise or (framework == "jax" and not jax_tells_streams(ordinal))
    find_stream = CURRENT_STREAMS.get(framework)
    current_stream = find_stream(ordinal) if find_stream else None

    def hand_over(lease: Any, skeleton: Tree) -> Tree:
        if synchronise:
            lease.wait()
        if anywhere:
            lease.used_anywhere()
        if current_stream is not None:
            lease.hand_to(current_stream())
        return convert_leaves(convert, lease, skeleton)

    def convert(lease: DeviceLease, leaf: ArrayLeaf) -> Any:
        dtype = DLPACK_TYPES.get(leaf.dtype.name)
        if dtype is None:  # texts, dates, structures: no framework has them
            return on_host(lease, leaf)
        if not leaf.dtype.isnative:
            raise SourceError(
                f"An array of {leaf.dtype} has the byte order of another machine, which no GPU "
                "reads. Return `array.astype(array.dtype.newbyteorder('='))` in the source."
            )
        return import_tensor(lease.tensor(leaf.offset, dtype, leaf.shape))

    return hand_over


def is_used_anywhere(framework: str, synchronise: bool) -> bool:
    """Tell whether batches are read on streams that nobody tells us."""
    return synchronise or framework in ("jax", "tensorflow")


def on_host(lease: DeviceLease, leaf: ArrayLeaf) -> np.ndarray[Any, Any]:
    """Return an array that has no business on a GPU."""
    return np.ndarray(leaf.shape, leaf.dtype, lease.read(leaf.offset, leaf_bytes(leaf)))


def hand_over_for_tensorflow(device: str) -> HandOver:
    """Return the function that has TensorFlow copy page-locked tensors to its device.

    Parameters
    ----------
    device : str
        As TensorFlow names it: ``"/GPU:0"``.
    """
    import_tensor = import_framework("tensorflow", DEVICE_IMPORTERS)
    import tensorflow as tf

    def copied(tensor: Any) -> Any:
        with tf.device(device):
            return tf.identity(import_tensor(tensor))

    convert = through_dlpack(copied)
    return lambda lease, skeleton: convert_leaves(convert, lease, skeleton)


def check_framework(framework: str) -> None:
    """Raise unless a framework has arrays on GPUs.

    Raises
    ------
    ArgumentError
        It has none, or is unknown.
    """
    if framework not in DEVICE_FRAMEWORKS:
        raise ArgumentError(
            "With device, framework must be one of "
            f"{', '.join(map(repr, DEVICE_FRAMEWORKS))}: whose arrays batches are made of.",
            f"framework={framework!r}",
        )
