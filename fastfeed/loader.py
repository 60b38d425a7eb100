"""`Loader`: joins a source, its workers, the ring and the hand-over.

Separation of concerns
----------------------
sources     what an item is, and how it gets into a slot
workers     where that happens
schedule    which ticket comes next, when an epoch is over
slots       which memory it gets
feed        posting and taking
resume      where that stands, as a state; going on from one
engine      all of these: made, and taken down, in the right order
loader      arguments and passes: what the user sees
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from fastfeed.arguments import environment, integer, numbers
from fastfeed.autotune.controller import Autotune
from fastfeed.autotune.options import Tuning
from fastfeed.devices.dataset import dataset, require_numpy
from fastfeed.devices.target import Wanted, target
from fastfeed.devices.transforming import DeviceTransform
from fastfeed.engine import MOST_WAITING, Engine
from fastfeed.errors import FastFeedError, LoaderClosed
from fastfeed.monitor.diagnose import diagnose
from fastfeed.monitor.diagnosis import Diagnosis
from fastfeed.monitor.journal import View
from fastfeed.monitor.stats import Stats
from fastfeed.monitor.trace import write_trace
from fastfeed.order import Uneven
from fastfeed.passes import Pass
from fastfeed.ranks import shard_of
from fastfeed.recognise import Options, plan
from fastfeed.resume import Progress, Resumable
from fastfeed.sources.base import name_of
from fastfeed.sources.streams import OnePass


class Loader(Resumable):
    """Makes batches in worker processes and hands them out as views of shared memory.

    One pass over the loader is one epoch; the same workers serve all of them, and make the next
    epoch's first batches while this one ends.

    Parameters
    ----------
    source : object
        * with ``__len__`` and ``__getitem__`` (a Keras ``Sequence``, a torch dataset, a list):
          items are batches, or samples if `batch_size` is given. With a method
          ``fill(index, out, rng)`` the source writes batches in place, without a copy; ``spec``
          gives their shapes (`ArraySpec`), or else the first item does.
        * an array, or a tuple or dict of arrays with one row a sample (needs `batch_size`).
        * what `fastfeed.images`, `fastfeed.files` and `fastfeed.generator` make; Hugging Face
          datasets, h5py, Zarr and Arrow objects as they are.
        * a generator function. If it takes ``shard`` and ``num_shards``, every worker runs one
          shard; otherwise it runs in one worker. Or an object that has ``__iter__`` alone.
        * an iterator. It runs in one thread and serves one pass.
    batch_size : int, optional
        Samples a batch. Without it items are batches; `fastfeed.images` has its own.
    workers : int or "auto", optional
        0: batches are made by the calling thread, when asked for. Default: 1 for arrays, iterators
        and generator functions that are not divided, 4 for the others. ``"auto"``: as many as the
        loop needs, found while it runs; see `autotune`.
    max_queue_size : int or "auto"
        Batches ready or in the making ahead of the consumer, at the most. ``"auto"``: found too.
    device : str, optional
        ``"cuda"`` or ``"cuda:1"``: batches are uploaded to this GPU while the model trains, by a
        native thread that needs no GIL, from page-locked slots. Without it batches lie in host
        memory.
    framework : {"numpy", "torch", "tensorflow", "jax", "cupy"}, optional
        Whose tensors batches are made of; never a copy on the host. Default: NumPy, and CuPy with
        `device`. TensorFlow copies from the page-locked slots to the GPU itself.
    shuffle : bool
        Items in a new order each epoch.
    seed : int
        For the order, and for `random`, `numpy.random` and ``rng`` in the workers, which are seeded
        from (seed, epoch, index) before each item. Threads share the global ones, so there only
        ``rng`` is seeded.
    drop_last : bool
        Leave out a last batch with fewer than `batch_size` samples.
    ordered : bool
        False: batches come as they are finished.
    use_multiprocessing : bool, optional
        False: workers are threads. Default: processes; arrays and iterators have threads always.
    device_queue_size : int
        Batches that wait on the GPU, at the most, besides the `max_queue_size` in host memory.
    device_transform : Augment or callable, optional
        Applied to each batch on the GPU: a `fastfeed.devices.transforms.Augment`, or a function of
        a tree of CuPy arrays. So ``uint8`` crosses the bus, and a quarter of the bytes of floats.
    device_synchronise : bool
        Wait until a batch has arrived before it is handed out; TensorFlow then gets arrays that lie
        on the GPU.
    stable_addresses : bool
        Batches lie in `device_queue_size` fixed buffers, in turn, as CUDA graphs need it. Then no
        more of them can be kept.
    worker_env : mapping of str to str, optional
        Environment of the worker processes, on top of the parent's. They get one thread a numeric
        library, no GPU and, where JAX is installed, ``KERAS_BACKEND=numpy`` unless it says
        otherwise.
    cpu_ceiling : float, optional
        Cores' time that ``workers="auto"`` may use; other loads count as well, but are nobody's
        to bound. Default: all cores but one, which is left to the training.
    shard : (int, int) or "auto", optional
        Rank of this process and number of ranks: each takes its share of every epoch, in the same
        number of steps. ``"auto"``: as torchrun, ``jax.distributed``, Ray Train, Open MPI or SLURM
        say. Default: all of it.
    uneven : {"drop", "pad", "short"}, optional
        What becomes of the items after the last step that is full on all ranks: left out (the
        default with several ranks), filled up with the epoch's first items, or shared out.
    transform : callable, optional
        ``transform(sample, rng)`` returns what becomes of a sample: augmentation, in the workers,
        after the cache. For sources of samples.
    cache : str, optional
        ``"memory"``: samples are made once and kept in shared memory, one copy for all workers.
        ``"disk:FOLDER"``: kept in a folder, for the next run too. What is random belongs into
        `transform`, or would be kept as well.
    cache_budget : int, optional
        Bytes that the cache may take. Default: half of the free memory, or all but 1 GiB of the
        disk's free room (a twentieth of the disk, where that is less).
    rows : bool or "auto"
        Whether several workers make the rows of one batch of samples. ``"auto"``: where it helps.
    memory_ceiling : int, optional
        Bytes that the slots of ``max_queue_size="auto"`` may take. Default: 2 GiB, or a tenth of
        the memory of the machine, or of the cgroup, where that is less.

    Raises
    ------
    ArgumentError
        If an argument is out of range, or does not go with the source.
    SourceError, SourceNotPicklable
        If the source cannot be fed, or cannot be sent to worker processes.
    CacheError
        If a cache on disk is of other data, or its folder cannot be used.
    OutOfMemory
        If the slots or the cache do not fit into memory.
    DeviceUnavailable
        If there is no such GPU, or its driver, CuPy or the framework cannot use it.

    Examples
    --------
    >>> import numpy as np, fastfeed
    >>> with fastfeed.Loader((np.arange(6), np.ones(6)), batch_size=4) as loader:
    ...     for x, y in loader:
    ...         print(x, y.sum())
    [0 1 2 3] 4.0
    [4 5] 2.0
    """

    def __init__(
        self,
        source: Any,
        batch_size: int | None = None,
        workers: int | Literal["auto"] | None = None,
        max_queue_size: int | Literal["auto"] = 10,
        device: Any = None,
        framework: str | None = None,
        shuffle: bool = False,
        seed: int = 0,
        drop_last: bool = False,
        ordered: bool = True,
        use_multiprocessing: bool | None = None,
        worker_env: Mapping[str, str] | None = None,
        device_queue_size: int = 2,
        device_transform: DeviceTransform | None = None,
        device_synchronise: bool = False,
        stable_addresses: bool = False,
        cpu_ceiling: float | None = None,
        memory_ceiling: int | None = None,
        transform: Callable[[Any, np.random.Generator], Any] | None = None,
        cache: str | None = None,
        cache_budget: int | None = None,
        shard: tuple[int, int] | Literal["auto"] | None = None,
        uneven: Uneven | None = None,
        rows: bool | Literal["auto"] = "auto",
    ) -> None:
        if batch_size is not None:
            batch_size = integer("batch_size", batch_size, 1, 2**31)
        tuning = Tuning.asked(workers, max_queue_size, cpu_ceiling, memory_ceiling)
        count, ahead = numbers(workers, max_queue_size, tuning)
        seed = integer("seed", seed, 0, 2**64 - 1)
        surroundings = environment(worker_env)
        device_queue_size = integer("device_queue_size", device_queue_size, 1, MOST_WAITING)
        on_device = (device_queue_size, device_transform, device_synchronise, stable_addresses)
        goes_to = target(Wanted(device, framework, *on_device, seed))
        self.framework = goes_to.framework
        self.device = None if goes_to.device is None else f"cuda:{goes_to.device.ordinal}"
        self._hand_over = goes_to.hand_over
        order = (shuffle, seed, drop_last, shard_of(shard), uneven)
        kept = (cache, cache_budget, transform)
        plan_ = plan(source, Options(batch_size, count, use_multiprocessing, *order, *kept))
        elastic = tuning.elastic(plan_.workers, ahead, plan_.source.shards)
        self._source = plan_.source
        self._order = plan_.order
        self._engine = Engine(
            replace(plan_, workers=elastic.workers) if elastic else plan_,
            name=name_of(source),
            ahead=elastic.ahead if elastic else ahead if plan_.workers else 1,
            ordered=ordered,
            elastic=elastic,
            environment=surroundings,
            target=goes_to,
            rows=rows,
        )
        self._close = weakref.finalize(self, self._engine.close)
        self._progress = Progress(plan_, self._engine.feed, self._engine.next, ordered)
        self._passes = 0
        self._latest: Callable[[], Pass | None] = lambda: None

    # -- passes -----------------------------------------------------------------------------

    def __iter__(self) -> Pass:
        """Start the next epoch. A pass that was left unfinished is over; only an iterator, which
        cannot start again, goes on where it stopped.

        Raises
        ------
        SourceExhausted
            If the source is an iterator that is used up.
        """
        self._check_open()
        self._progress.begin_epoch()
        self._passes += 1
        latest = Pass(self._next, self._passes)
        self._latest = weakref.ref(latest)
        return latest

    def _next(self, asking: Pass) -> Any:
        if not self._engine.is_usable:  # as quick as it can be: small batches feel it
            self._check_open()
        if asking.number != self._passes:
            raise FastFeedError(
                "This loop was ended by a newer one over the same loader, or by load_state_dict: "
                "a loader serves one loop at a time. Make a second Loader for a second loop."
            )
        opened = self._engine.next()
        if opened is None:
            if isinstance(self._source, OnePass) and not self._engine.feed.handed_out:
                raise self._source.used_up(before=True)
            raise StopIteration
        return self._hand_over(*opened)

    def __len__(self) -> int:
        """Return the number of batches an epoch.

        Raises
        ------
        TypeError
            If nobody knows it.
        """
        if self._order is None:
            raise TypeError("The length of this source is not known: it is a stream of items.")
        return self._order.steps()

    @property
    def autotune(self) -> Autotune | None:
        """What ``"auto"`` has chosen, and why; None if nothing is tuned."""
        return self._engine.autotune

    @property
    def batches_per_epoch(self) -> int | None:
        """Batches an epoch; None if nobody knows."""
        return None if self._order is None else self._order.steps()

    def as_tf_dataset(self, output_signature: Any = None) -> Any:
        """Return a ``tf.data.Dataset`` of which each ``iter()`` is one pass, without copies.

        One iterator at a time: a second one ends the first. What the source raises arrives as an
        error of TensorFlow's, with the message and the worker's traceback in its text. Texts
        become ``tf.string``, lists tuples, and the ``None`` of ``(x, y, None)`` is left out.

        Parameters
        ----------
        output_signature : tree of tf.TypeSpec, optional
            What batches look like. Default: as the first one, with an open batch dimension; then
            that batch is waited for here, and handed out by the first iterator.

        Returns
        -------
        tf.data.Dataset
            It keeps the loader; its cardinality is `batches_per_epoch`, where that is known. With
            a state that was loaded before, in the middle of an epoch, it has none.

        Raises
        ------
        ArgumentError
            The loader's framework is not "numpy", or TensorFlow is not installed.
        SourceError
            There is no batch, or `tf.data` cannot have what is in it.
        """
        require_numpy(self.framework)
        begin, batches = self._progress.for_dataset(self.__iter__, self.batches_per_epoch)
        data = dataset(begin, batches, output_signature, lambda: self._passes)
        self._progress.not_counting(data.fastfeed_passes)
        return data

    def record_stream(self, batch: Any, stream: Any) -> None:
        """Say that a batch on the GPU is used on another stream than the one it was handed to.

        The framework's current stream at the time of ``next()`` is known. Memory that other
        streams still read, when the batch is dropped, would be written again too early.

        Parameters
        ----------
        batch : tree of arrays
            What the loader handed out, or views of it.
        stream : cupy.cuda.Stream, torch.cuda.Stream or int
            It also waits until the batch has arrived.

        Raises
        ------
        ArgumentError
            The batch is none of this loader's on a GPU, or `stream` is no stream.
        """
        self._check_open()
        self._engine.record_stream(batch, stream)

    # -- looking at it ----------------------------------------------------------------------

    def stats(self) -> Stats:
        """Return the running totals. Cheap: may be called at every step."""
        return self._engine.stats()

    def diagnose(self, step: Callable[[Any], object], n: int = 100) -> Diagnosis:
        """Run a training step in three ways, and say what its data costs: with a batch from memory
        while workers rest, with the same while they work, and with the loader's batches.

        Parameters
        ----------
        step : callable
            Of one batch. It must wait for its result (``torch.cuda.synchronize``, for example).
        n : int
            Steps of each of the three, at least 20.

        Raises
        ------
        ArgumentError, FastFeedError
            An argument is wrong, the source is an iterator; or a loop is going on.
        """
        self._check_open()
        latest = self._latest()
        looping = latest is not None and latest.is_open and not self._engine.feed.is_over
        with self.autotune.paused() if self.autotune else nullcontext():
            return diagnose(self, step, n, self._source, looping)

    def trace(self, path: str | os.PathLike[str], seconds: float | None = None) -> int:
        """Write what became of the last batches, for https://ui.perfetto.dev; return how many.

        Parameters
        ----------
        path : path
            Ends with ``.json`` or ``.json.gz``; a file of this name is replaced.
        seconds : float, optional
            Only batches that were handed out in the last so many seconds.

        Raises
        ------
        ArgumentError, TraceError
            An argument is wrong, or the file cannot be written.
        """
        return write_trace(self._view(), path, seconds)

    def _view(self) -> View:
        """Return a look at the journal, for what draws or writes it."""
        return self._engine.view

    # -- the end ----------------------------------------------------------------------------

    def close(self) -> None:
        """End the workers. Batches that were handed out stay valid. May be called twice."""
        self._close()

    def __enter__(self) -> Loader:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _end_loop(self) -> None:
        self._check_open()
        self._passes += 1

    def _check_open(self) -> None:
        if not self._close.alive:
            raise LoaderClosed("This loader was closed; make a new one.")
        if self._engine.pid != os.getpid():
            raise LoaderClosed(
                "This loader belongs to the process that made it, and this is a fork of that "
                "process. Make a loader of its own here."
            )
