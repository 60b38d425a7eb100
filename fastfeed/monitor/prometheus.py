"""Metrics for Prometheus: from a small HTTP server in this process, or in a text file.

Figures are read when Prometheus asks for them, so between two scrapes nothing is done at all. A
loader is not kept alive: when it is dropped or closed its metrics end or stand still.

The names that end in ``_seconds_total`` are counters: ``rate(fastfeed_wait_seconds_total[1m])`` is
the share of its time that a loop waits, by cause. `docs/prometheus.md` lists them all.
"""

from __future__ import annotations

import os
import re
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from fastfeed._core import DATA
from fastfeed.errors import ArgumentError, FastFeedError
from fastfeed.monitor.journal import Totals, View, WorkerNow
from fastfeed.monitor.stats import Stats
from fastfeed.monitor.summary import summarise
from fastfeed.packages import library

if TYPE_CHECKING:
    from wsgiref.simple_server import WSGIServer

    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper limits of the histogram of making times, s; beyond the last one there is one more."""
LOCAL = "127.0.0.1"


class NotExported(FastFeedError, OSError):
    """The port cannot be opened, or the file not be written."""


class Watchable(Protocol):
    """A `Loader`."""

    def stats(self) -> Stats:
        """Return the running totals."""


Loaders = Watchable | Mapping[str, Watchable]


def serve(
    loaders: Loaders, port: int, address: str = LOCAL, labels: Mapping[str, str] | None = None
) -> Server:
    """Serve metrics at ``http://address:port/metrics`` from a thread, until the server is closed.

    Parameters
    ----------
    loaders : Loader or mapping of str to Loader
        With names of yours for the label ``loader``; one alone is named after its source.
    port : int
        0: a free one, which `Server.port` tells.
    address : str
        Of the network interface. By default only this machine can ask; ``"0.0.0.0"``: all.
    labels : mapping of str to str, optional
        More labels for every metric, ``{"rank": "3"}`` for example.

    Returns
    -------
    Server
        To be closed, or used with ``with``. It ends with the process otherwise.

    Raises
    ------
    NotExported
        The port is in use, or may not be opened.
    ArgumentError
        The port is none, or a label has a name that Prometheus does not allow.
    LibraryMissing
        prometheus-client is not installed.
    """
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port < 65536:
        raise ArgumentError("port must be an integer from 0 to 65535.", f"port={port!r}")
    metrics = registry(loaders, labels)
    from prometheus_client import start_http_server

    try:
        return Server(*start_http_server(port, address, metrics))
    except OSError as error:
        raise NotExported(
            f"No metrics can be served at {address}:{port}: {error.strerror or error}. Choose "
            "another port (0: any that is free), or another address."
        ) from error


def write(
    loaders: Loaders, path: str | os.PathLike[str], labels: Mapping[str, str] | None = None
) -> None:
    """Write the metrics, as they are now, to a file for node-exporter's textfile collector.

    The file is replaced as a whole, so a reader never sees half of it.

    Parameters
    ----------
    loaders, labels
        As for `serve`.
    path : path
        Ends in ``.prom``, or node-exporter would leave it out.

    Raises
    ------
    NotExported
        It cannot be written.
    ArgumentError
        It has another ending, or a label is wrong.
    LibraryMissing
        prometheus-client is not installed.
    """
    if not os.fspath(path).endswith(".prom"):
        raise ArgumentError("The file must end in .prom for node-exporter.", repr(path))
    metrics = registry(loaders, labels)
    from prometheus_client import write_to_textfile

    try:
        write_to_textfile(os.fspath(path), metrics)
    except OSError as error:
        raise NotExported(
            f"{os.fspath(path)} cannot be written: {error.strerror}. Choose a folder that exists "
            "and that this user may write to."
        ) from error


def registry(loaders: Loaders, labels: Mapping[str, str] | None = None) -> CollectorRegistry:
    """Return a registry of prometheus-client that holds a `Metrics`, for servers of your own."""
    package = library("prometheus_client", "A metric", "'fastfeed[prometheus]'")
    made: CollectorRegistry = package.CollectorRegistry()
    made.register(Metrics(loaders, labels))
    return made


class Server:
    """Answers Prometheus from a thread.

    Attributes
    ----------
    port : int
    """

    def __init__(self, server: WSGIServer, thread: Thread) -> None:
        self.port = server.server_port
        self._server = server
        self._thread = thread

    def close(self) -> None:
        """End it, and free the port. May be called twice."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


@dataclass
class Watched:
    """A loader, and what was counted of its journal, which keeps the last batches only."""

    name: str
    loader: weakref.ref[Any]
    seen_ns: int = 0
    retries: int = 0
    made_seconds: float = 0.0
    made: np.ndarray = field(default_factory=lambda: np.zeros(len(BUCKETS_S) + 1, np.int64))

    def look(self, labels: list[str]) -> Seen | None:
        """Return what there is now; None if the loader was dropped."""
        loader = self.loader()
        if loader is None:
            return None
        stats = loader.stats()
        self._count(stats.view)
        totals, workers = stats.view.totals(), stats.view.workers()
        return Seen(self, [self.name, *labels], stats, totals, workers)

    def _count(self, view: View) -> None:
        """Add the batches handed out since the last look. Those of more than 16,384 are lost."""
        records = view.records()
        new = records[records["answered_ns"] > self.seen_ns]
        if len(new):
            self.seen_ns = int(new["answered_ns"].max())
            self.retries += int(new["attempt"].sum())
            new = new[new["kind"] == DATA]
            seconds = new["work_ns"] / 1e9
            places = np.searchsorted(BUCKETS_S, seconds)
            self.made += np.bincount(places, minlength=len(self.made))
            self.made_seconds += float(seconds.sum())


@dataclass
class Seen:
    """One look at a loader."""

    counted: Watched
    labels: list[str]
    stats: Stats
    totals: Totals
    workers: list[WorkerNow]


class Metrics:
    """A collector of prometheus-client: ``REGISTRY.register(Metrics(loader))`` adds a loader to
    the metrics that a process has already.

    Parameters
    ----------
    loaders, labels
        As for `serve`.
    """

    def __init__(self, loaders: Loaders, labels: Mapping[str, str] | None = None) -> None:
        extra = {str(name): str(value) for name, value in (labels or {}).items()}
        wrong = [name for name in extra if name in RESERVED or not LABEL.fullmatch(name)]
        if wrong:
            raise ArgumentError(
                "Labels have names of letters, digits and underscores, and not these: "
                f"{', '.join(sorted(RESERVED))}.",
                wrong,
            )
        self._names = ["loader", *extra]
        self._values = list(extra.values())
        self._watched = [Watched(name, weakref.ref(each)) for name, each in named(loaders).items()]
        self._lock = Lock()  # the server answers each request in a thread of its own

    def collect(self) -> Iterator[Metric]:
        """Yield the metric families, as prometheus-client asks for them."""
        with self._lock:
            looks = [each.look(self._values) for each in self._watched]
        seen = [look for look in looks if look is not None]
        yield from counters(self._names, seen)
        yield from gauges(self._names, seen)
        yield making_times(self._names, seen)


def named(loaders: Loaders) -> Mapping[str, Watchable]:
    """Return loaders by the names that their metrics have."""
    if isinstance(loaders, Mapping):
        return loaders
    if not hasattr(loaders, "stats"):
        raise ArgumentError("loaders must be a Loader, or a dict of them by name.", repr(loaders))
    return {loaders.stats().view.name: loaders}


LABEL = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*")
RESERVED = {"loader", "cause", "worker", "state", "le"}
STATES = ("busy", "idle", "absent")


def counters(names: list[str], seen: list[Seen]) -> Iterator[Metric]:
    """Yield what only grows."""
    from prometheus_client.core import CounterMetricFamily as Counter

    batches = Counter("fastfeed_batches", "Batches handed out.", labels=names)
    n_bytes = Counter("fastfeed_bytes", "Bytes of the arrays handed out.", labels=names)
    waits = Counter(
        "fastfeed_wait_seconds", "Time that the loop waited, by cause.", labels=[*names, "cause"]
    )
    steps = Counter("fastfeed_compute_seconds", "Time between two batches.", labels=names)
    busy = Counter(
        "fastfeed_worker_busy_seconds", "Time of making batches.", labels=[*names, "worker"]
    )
    restarts = Counter("fastfeed_worker_restarts", "Workers that died, replaced.", labels=names)
    retries = Counter("fastfeed_retries", "Batches begun again after a death.", labels=names)
    for look in seen:
        labels, totals = look.labels, look.totals
        batches.add_metric(labels, totals.batches)
        n_bytes.add_metric(labels, totals.bytes)
        waits.add_metric([*labels, "production"], totals.production_wait_ns / 1e9)
        waits.add_metric([*labels, "order"], totals.order_wait_ns / 1e9)
        waits.add_metric([*labels, "upload"], totals.upload_wait_ns / 1e9)
        steps.add_metric(labels, totals.step_ns / 1e9)
        for each in look.workers:
            busy.add_metric([*labels, str(each.worker)], each.busy_ns / 1e9)
        restarts.add_metric(labels, look.stats.worker_restarts)
        retries.add_metric(labels, look.counted.retries)
    yield from (batches, n_bytes, waits, steps, busy, restarts, retries)


def gauges(names: list[str], seen: list[Seen]) -> Iterator[Metric]:
    """Yield what goes up and down."""
    from prometheus_client.core import GaugeMetricFamily as Gauge

    ready = Gauge("fastfeed_ready_batches", "Finished and not taken.", labels=names)
    inflight = Gauge("fastfeed_inflight_batches", "Ordered and not finished.", labels=names)
    ahead = Gauge("fastfeed_lookahead_limit", "Batches ahead, at the most.", labels=names)
    workers = Gauge("fastfeed_workers", "Workers, by state.", labels=[*names, "state"])
    first = Gauge("fastfeed_time_to_first_batch_seconds", "From the loader's making.", labels=names)
    share = Gauge("fastfeed_data_ready_ratio", "Of the last batches, not waited for.", labels=names)
    for look in seen:
        labels, totals = look.labels, look.totals
        ready.add_metric(labels, totals.ready)
        inflight.add_metric(labels, totals.outstanding - totals.ready)
        ahead.add_metric(labels, totals.ahead)
        states = [state_of(each) for each in look.workers]
        for state in STATES:
            workers.add_metric([*labels, state], states.count(state))
        if totals.first_batch_ns:
            first.add_metric(labels, totals.first_batch_ns / 1e9)
            share.add_metric(labels, summarise(look.stats.records).ready_ratio)
    yield from (ready, inflight, ahead, workers, first, share)


def making_times(names: list[str], seen: list[Seen]) -> Metric:
    """Return the histogram of what batches took their workers."""
    from prometheus_client.core import HistogramMetricFamily

    family = HistogramMetricFamily("fastfeed_make_seconds", "Making of a batch.", labels=names)
    limits = [*map(str, BUCKETS_S), "+Inf"]
    for look in seen:
        up_to = np.cumsum(look.counted.made).tolist()
        buckets = list(zip(limits, map(float, up_to), strict=True))
        family.add_metric(look.labels, buckets, look.counted.made_seconds)
    return family


def state_of(worker: WorkerNow) -> str:
    """Return what a worker does, in one word."""
    if not worker.pid:
        return "absent"
    return "busy" if worker.making_since_ns else "idle"
