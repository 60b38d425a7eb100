"""Every exception of fastfeed, and the words that several places share.

One family: ``except fastfeed.FastFeedError`` catches what fastfeed itself complains about. Each
class is also a standard one, so code that knows nothing of fastfeed can catch it too. Exceptions
raised by the user's own source are not wrapped: they arrive as they are, with the worker's
traceback as their cause.
"""

from __future__ import annotations


class FastFeedError(Exception):
    """Base of all errors that fastfeed itself raises."""


class ArgumentError(FastFeedError, ValueError):
    """An argument is wrong, or two do not go together."""

    def __init__(self, rule: str, received: object = None) -> None:
        """State the rule and the cure; `received` is shown as ``Received: ...``."""
        super().__init__(rule if received is None else f"{rule} Received: {received}")


class SourceError(FastFeedError, ValueError):
    """The source, or an item that it gave, cannot be made into batches."""


class ImageError(SourceError):
    """An image file cannot be read: missing, empty, cut off, damaged, or no image at all."""


class CacheError(FastFeedError, ValueError):
    """A cache on disk cannot be used: it is of other data, damaged, or its folder is no place."""


class StateMismatch(FastFeedError, ValueError):
    """A loader's state is damaged, or that of another source, seed, order or version."""


class SourceExhausted(FastFeedError, RuntimeError):
    """A second loop over an iterator that is used up."""


class SourceNotPicklable(FastFeedError, TypeError):
    """The source cannot be sent to a worker process."""


class StructureChanged(SourceError):
    """A batch has another structure, dtype or number of dimensions than the first one."""


class WorkerCrashed(FastFeedError, RuntimeError):
    """Making one item killed its worker again and again.

    Attributes
    ----------
    index, epoch : int
        Which item it was.
    exitcode : int or None
        How the last worker ended: minus the signal's number, or the exit status.
    """

    def __init__(self, message: str, index: int, epoch: int, exitcode: int | None) -> None:
        super().__init__(message)
        self.index = index
        self.epoch = epoch
        self.exitcode = exitcode

    def __reduce__(self) -> tuple[type[WorkerCrashed], tuple[object, ...]]:
        return type(self), (*self.args, self.index, self.epoch, self.exitcode)


class WorkersLost(FastFeedError, RuntimeError):
    """Worker processes cannot be started, or none is left."""


class LoaderClosed(FastFeedError, RuntimeError):
    """The loader was closed and is still being used."""


class OutOfMemory(FastFeedError, MemoryError):
    """The slots would need more memory than there is."""


class DeviceError(FastFeedError, RuntimeError):
    """A call of the CUDA driver failed.

    Attributes
    ----------
    call : str
        The driver's function, or what stood in its place.
    code : int
        Its result; negative: an errno of ours.
    text : str
        What the driver says about it.
    """

    def __init__(self, message: str, call: str = "", code: int = 0, text: str = "") -> None:
        super().__init__(message)
        self.call = call
        self.code = code
        self.text = text

    def __reduce__(self) -> tuple[type[DeviceError], tuple[object, ...]]:
        return type(self), (*self.args, self.call, self.code, self.text)


class DeviceUnavailable(DeviceError):
    """There is no GPU that could be used: no driver, no device, or one that is too old."""


class DeviceOutOfMemory(DeviceError, MemoryError):
    """The GPU has no memory left for the batches that wait on it."""


class UnsupportedHost(FastFeedError, RuntimeError):
    """The installed Keras, its backend or a model's distribution strategy cannot be fed."""


class LibraryMissing(FastFeedError, ImportError):
    """A package of others that is needed for this is not installed."""


class CoreError(FastFeedError, OSError):
    """A function of the native core failed; `errno` holds its code."""


class RemoteTraceback(FastFeedError):
    """Cause of an exception that a worker raised: holds the traceback that it had there."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f'\n"""\n{self.text}"""'


CUDA_OUT_OF_MEMORY = 2


def device_error(call: str, code: int, text: str) -> DeviceError:
    """Return the error for a call of the driver's that failed while batches were on their way."""
    if code == CUDA_OUT_OF_MEMORY:
        return DeviceOutOfMemory(
            f"{call} failed: {text}. The GPU has no room for the batches that wait on it. Lower "
            "device_queue_size or the batch size, or leave more memory to others: JAX takes three "
            "quarters at its start (XLA_PYTHON_CLIENT_PREALLOCATE=false), TensorFlow all "
            "(tf.config.experimental.set_memory_growth).",
            call,
            code,
            text,
        )
    return DeviceError(
        f"{call} failed: {text}. If the training step, or code before it, makes an error on the "
        "GPU, every later call reports it: run once with CUDA_LAUNCH_BLOCKING=1 to find it.",
        call,
        code,
        text,
    )


def gib(n_bytes: int) -> str:
    """Write a number of bytes for people: ``"1.50 GiB"``, ``"4.8 MiB"``."""
    if n_bytes >= 1 << 30:
        return f"{n_bytes / (1 << 30):.2f} GiB"
    return f"{n_bytes / (1 << 20):.1f} MiB" if n_bytes >= 1 << 20 else f"{n_bytes} bytes"
