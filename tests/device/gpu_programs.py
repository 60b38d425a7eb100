"""Programs on a real GPU that need a process of their own: `python gpu_programs.py NAME`.

Each ends with exit code 0 and a last line of JSON, or fails.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import sys
import time
import warnings
from typing import Any

import numpy as np
from gpu_support import Constant, Images
from leftovers import worker_pids

import fastfeed
from fastfeed.devices import arrays

TWO: dict[str, Any] = {"workers": 2, "use_multiprocessing": True}
OF_CONTEXT = 1  # CU_POINTER_ATTRIBUTE_CONTEXT
WROTE_TO_NOWHERE = 'extern "C" __global__ void bad(int *nowhere) { *nowhere = 1; }'


def locked_memory() -> dict[str, Any]:
    """Load under a limit of locked memory that no segment fits into."""
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (64 * 1024, 64 * 1024))
    import cupy

    with (
        warnings.catch_warnings(record=True) as warned,
        fastfeed.Loader(Constant(20), device="cuda", **TWO) as loader,
    ):
        warnings.simplefilter("always")
        right = sum(bool((batch == index).all()) for index, batch in enumerate(loader))
        cupy.cuda.Device().synchronize()
        stats = loader.stats().device
    assert stats is not None
    return {
        "right": right,
        "pinned": stats.pinned,
        "uploads": stats.uploads,
        "host_copies": stats.host_copies,
        "warned": [str(w.message) for w in warned if "page-lock" in str(w.message)],
    }


def illegal_access() -> dict[str, Any]:
    """Have a kernel break the context in the middle of an epoch; errors must not hang or leak."""
    import cupy

    bad = cupy.RawKernel(WROTE_TO_NOWHERE, "bad")
    arrays.DEVICE_IMPORTERS["cupy"] = lambda: lambda tensor: tensor  # CuPy would fail before us
    loader = fastfeed.Loader(Constant(50), device="cuda", **TWO)
    raised = ""
    try:
        for index, _ in enumerate(loader):
            if index == 5:
                bad((1,), (1,), (np.uint64(8),))
    except fastfeed.errors.DeviceError as error:
        raised = f"{type(error).__name__}: {error}"
    loader.close()
    return {"raised": raised, "workers": len(worker_pids())}


def pointer_of(array: Any) -> int:
    """Return where an array of whichever framework lies."""
    for name in ("data_ptr", "unsafe_buffer_pointer"):
        if hasattr(array, name):
            return int(getattr(array, name)())
    return int(array.data.ptr)


def contexts() -> dict[str, Any]:
    """Use one GPU from CuPy, PyTorch, JAX and fastfeed; return the contexts of their memory."""
    import cupy
    import torch

    cuda = ctypes.CDLL("libcuda.so.1")

    def context_of(array: Any) -> int:
        context = ctypes.c_void_p()
        pointer = ctypes.c_uint64(pointer_of(array))
        assert cuda.cuPointerGetAttribute(ctypes.byref(context), OF_CONTEXT, pointer) == 0
        return int(context.value or 0)

    own = {"cupy": cupy.arange(10), "torch": torch.arange(10, device="cuda")}
    found = {name: context_of(array) for name, array in own.items()}
    for name in ("cupy", "torch", "jax"):
        with fastfeed.Loader(Images(3), device="cuda", framework=name, **TWO) as loader:
            for index, (images, _) in enumerate(loader):
                found[f"fastfeed for {name}"] = context_of(images)
                read = cupy.asnumpy(cupy.from_dlpack(images))
                np.testing.assert_array_equal(read, Images(3)[index][0])
    primary = ctypes.c_void_p()
    assert cuda.cuDevicePrimaryCtxRetain(ctypes.byref(primary), 0) == 0
    found["primary"] = int(primary.value or 0)
    cuda.cuDevicePrimaryCtxRelease_v2(0)
    return found


def to_be_killed() -> dict[str, Any]:
    """Load for ever, and say who is to be gone after a SIGKILL."""
    import cupy

    with fastfeed.Loader(Constant(10**6), device="cuda", **TWO) as loader:
        for index, batch in enumerate(loader):
            batch.sum()
            if index == 20:
                cupy.cuda.Device().synchronize()
                print(json.dumps({"workers": worker_pids()}), flush=True)
            time.sleep(0.001)
    return {}


def keras_fit() -> dict[str, Any]:
    """Train on batches from the GPU and on the same ones from arrays; return the losses."""
    import keras

    x = np.random.default_rng(0).standard_normal((640, 16)).astype("float32")
    y = (x.sum(1, keepdims=True) > 0).astype("float32")

    def model() -> Any:
        keras.utils.set_random_seed(1)
        made = keras.Sequential([keras.Input((16,)), keras.layers.Dense(32), keras.layers.Dense(1)])
        made.compile("sgd", "mse")
        return made

    options = {"epochs": 3, "verbose": 0, "shuffle": False, "class_weight": {0: 0.5, 1: 2.0}}
    own, ours = model(), model()
    expected = own.fit(x, y, batch_size=64, **options).history["loss"]
    from fastfeed.keras import evaluate_generator, fit_generator, predict_generator

    feed = {"batch_size": 64, "workers": 2, "device": "cuda"}
    found = fit_generator(ours, (x, y), data_wait=False, **options, **feed).history["loss"]
    predicted = predict_generator(ours, (x, y), **feed)
    return {
        "expected": expected,
        "found": found,
        "apart": float(np.abs(predicted - own.predict(x, verbose=0)).max()),
        "evaluated": [evaluate_generator(ours, (x, y), **feed), own.evaluate(x, y, verbose=0)],
    }


PROGRAMS = {
    program.__name__: program
    for program in (locked_memory, illegal_access, contexts, to_be_killed, keras_fit)
}

if __name__ == "__main__":
    print(json.dumps(PROGRAMS[sys.argv[1]]()), flush=True)
    sys.stdout.flush()
    if sys.argv[1] == "illegal_access":
        os._exit(0)  # CuPy's own end fails in a broken context
