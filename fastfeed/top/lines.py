"""For pipes and files: a line a loader for people, an object a look for programs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict

from fastfeed.top import words
from fastfeed.top.model import Loader
from fastfeed.top.watch import Picture


def as_json(picture: Picture) -> str:
    """Return everything that is known, in one line."""
    return json.dumps(asdict(picture), allow_nan=False)


def lines(picture: Picture) -> Iterator[str]:
    """Yield a line a loader."""
    clock = time.strftime("%H:%M:%S", time.localtime(picture.time))
    if not picture.loaders:
        yield f"{clock} no loader is open"
    for loader in picture.loaders:
        yield f"{clock} {loader.name}: " + "; ".join(_facts(loader))


def _facts(loader: Loader) -> Iterator[str]:
    yield (
        f"{words.number(loader.batches_per_second)} batches/s, "
        f"{words.throughput(loader.bytes_per_second)}"
    )
    yield f"waiting {words.waited(loader)}"
    if words.waits_long(loader):
        yield f"waits for {words.duration(loader.waiting_seconds)} now"
    yield f"step {words.duration(loader.step_seconds)}"
    if loader.ahead:
        yield f"{words.ready(loader)} ready"
    yield f"workers: {words.counted(loader.workers)}"
    for worker in loader.workers:
        if words.takes_long(worker, loader):
            yield f"worker {worker.worker} {words.doing(worker)}"
    yield from words.notes(loader)
    yield loader.verdict
