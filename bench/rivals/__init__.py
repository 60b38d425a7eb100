"""The contestants: one module each, all with one function.

``opened(source, workers, queue, option)`` is a context manager. What it gives can be iterated again
and again, once an epoch, and yields the source's batches in their order; or, where there is nothing
to iterate, it is a function that does the work of n batches and returns the seconds a batch.
Contestants whose ``needs`` are not installed are left out, with a line that says so.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Contestant:
    """Who takes part, and what it is given.

    Parameters
    ----------
    name : str
        As printed.
    module : str
        Where its ``opened`` is, below ``bench``.
    needs : tuple of str
        Modules that must be installed.
    form : {"item", "fill", "stream"}
        What its source offers, see `bench.sources.FORMS`.
    option : str
        Which variant, for modules that have several.
    environment : tuple of (str, str)
        Variables that its process needs.
    """

    name: str
    module: str
    needs: tuple[str, ...] = ()
    form: str = "item"
    option: str = ""
    environment: tuple[tuple[str, str], ...] = ()


FASTFEED_FILL = Contestant("fastfeed, fill", "rivals.fastfeed_loader", ("fastfeed",), "fill")
FASTFEED_STREAM = Contestant(
    "fastfeed, fill with fastfeed.copyto", "rivals.fastfeed_loader", ("fastfeed",), "stream"
)
FASTFEED_ITEM = Contestant("fastfeed, __getitem__", "rivals.fastfeed_loader", ("fastfeed",))
LIMIT_STREAM = Contestant("copy limit, streaming", "copy_limit", ("fastfeed",), option="stream")
LIMIT_NUMPY = Contestant("copy limit, np.copyto", "copy_limit", option="numpy")
RING = Contestant("ticket ring", "rivals.ring_alone", ("fastfeed",))
PLAIN_LOOP = Contestant("plain loop", "rivals.plain_loop", form="fill")
MP_QUEUE = Contestant("multiprocessing.Queue", "rivals.mp_queue")
TORCH = Contestant("torch DataLoader", "rivals.torch_loader", ("torch",))
KERAS_THREADS = Contestant(
    "Keras PyDataset, threads", "rivals.keras_pydataset", ("keras",), option="threads"
)
KERAS_PROCESSES = Contestant(
    "Keras PyDataset, processes", "rivals.keras_pydataset", ("keras",), option="processes"
)
TF_GENERATOR = Contestant("tf.data from_generator", "rivals.tf_data", ("tensorflow",))
TF_MAP = Contestant(
    "tf.data map, tf.image", "rivals.tf_data_photos", ("tensorflow",), option="tf.image"
)
TF_MAP_OPENCV = Contestant(
    "tf.data map, OpenCV", "rivals.tf_data_photos", ("tensorflow",), option="opencv"
)
DALI = Contestant("DALI external_source", "rivals.dali", ("nvidia.dali",))

# Those whose batches are made in other processes, as fastfeed's are.
WITH_PROCESSES = (MP_QUEUE, TORCH, KERAS_PROCESSES, DALI)


def keras_fit(name: str, option: str, backend: str, form: str = "item") -> Contestant:
    """Return who feeds Keras's ``fit`` on a backend in the way that `option` names."""
    needs = ("keras", "fastfeed", backend)
    environment = tuple(on_backend(backend).items())
    return Contestant(name, "rivals.keras_fit", needs, form, option, environment)


def on_backend(backend: str) -> dict[str, str]:
    """Return the environment in which Keras runs on a backend.

    With more than one OpenMP thread a step of torch's waits for the slowest of them, ten times as
    long as it computes where something else needs a core: nothing else would be measured.
    """
    return {"KERAS_BACKEND": backend, "OMP_NUM_THREADS": "1"}


def small_fits(backend: str) -> tuple[Contestant, ...]:
    """Return who trains the small model: Keras's own work a step."""
    return (
        keras_fit(FIT_ARRAYS, "arrays", backend),
        keras_fit("Keras PyDataset, workers=0", "pydataset", backend),
        keras_fit(FIT_FASTFEED_ARRAYS, "fastfeed arrays", backend),
        keras_fit(FIT_FASTFEED, "fastfeed", backend),
    )


def large_fits(backend: str) -> tuple[Contestant, ...]:
    """Return who trains on large batches: their way to the model."""
    return (
        keras_fit(FIT_FILL, "fastfeed", backend, "fill"),
        keras_fit(FIT_FASTFEED, "fastfeed", backend),
        keras_fit("Keras PyDataset, threads", "pydataset threads", backend),
        keras_fit(FIT_PROCESSES, "pydataset processes", backend),
    )


FIT_ARRAYS = "model.fit on arrays"
FIT_PROCESSES = "Keras PyDataset, processes"
FIT_FASTFEED_ARRAYS = "fastfeed, the same arrays"
FIT_FASTFEED = "fastfeed, __getitem__"
FIT_FILL = "fastfeed, fill"
