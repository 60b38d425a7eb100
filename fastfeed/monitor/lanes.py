"""Draws batches as events of Chrome's trace format, which Perfetto reads too.

Format: "Trace Event Format", N. Duca and D. Sinclair; what Perfetto makes of it:
``src/trace_processor/importers/json`` there. From the latter: slices of a lane must not overlap,
an arrow begins and ends at the slice that its lane has open at its time, and process and thread
numbers have 32 bits.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from fastfeed._core import CRASHED, EXCEPTION
from fastfeed.monitor.journal import Records, View

GROUP = 1 << 22
"""Linux has no higher number for processes and threads. So our lanes, which have numbers from here
on, keep theirs in a file that holds another profiler's too."""
ARROW_NS = 1000
"""So long before the end of a slice its arrow leaves, to be within it for certain."""
PIECE = 4096
"""Records that are drawn at once."""
COLUMNS = {"item": "index"}
FATES = {EXCEPTION: " (exception)", CRASHED: " (crashed)"}


class Batch(NamedTuple):
    """A record in Python's own integers, which are quicker; see `RECORD`."""

    sequence: int
    item: int  # its index; tuples have a method of this name
    epoch: int
    worker: int
    attempt: int
    kind: int
    bytes: int
    started_ns: int
    made_ns: int
    upload_ns: int
    uploaded_ns: int
    asked_ns: int
    answered_ns: int
    order_wait_ns: int
    upload_wait_ns: int

    @property
    def waits_ns(self) -> dict[str, int]:
        """The causes of waiting for it, and how long each."""
        other = self.order_wait_ns + self.upload_wait_ns
        return {
            "production": self.answered_ns - self.asked_ns - other,
            "order": self.order_wait_ns,
            "upload": self.upload_wait_ns,
        }


class Slice(NamedTuple):
    """From when to when something was done in a lane."""

    lane: int
    start_ns: int
    end_ns: int


class Lanes:
    """One loader's lanes: a group of their own.

    Parameters
    ----------
    number : int
        Of the loader among those in the file, from 0.
    """

    def __init__(self, number: int) -> None:
        self.group = GROUP * (number + 1)
        self.consumer = self.group  # the main thread, as Perfetto takes it: the topmost lane
        self.upload = self.group + 1
        self._arrows = number << 44  # with a ticket's number still exact in JavaScript
        self._copied_ns = 0  # the copies before are done

    def worker(self, number: int) -> int:
        """Return the lane of a worker."""
        return self.group + 2 + number

    # -- names ------------------------------------------------------------------------------

    def names(self, view: View, workers: list[int], has_uploads: bool) -> Iterator[str]:
        """Yield the events that name the group and its lanes, and say in which order they are."""
        yield _name("process", self.group, self.group, f"fastfeed: {view.name}, process {view.pid}")
        yield _order("process", self.group, self.group, self.group)
        now = {worker.worker: worker.pid for worker in view.workers()}
        lanes = {self.consumer: "consumer"}
        if has_uploads:
            lanes[self.upload] = "upload"
        for worker in workers:
            pid = now.get(worker, 0)
            process = f", process {pid}" if pid not in (0, view.pid) else ""
            lanes[self.worker(worker)] = f"worker {worker:0{len(str(max(workers)))}}{process}"
        for lane, name in lanes.items():
            yield _name("thread", self.group, lane, name)
            yield _order("thread", self.group, lane, lane - self.group)

    # -- slices and arrows ------------------------------------------------------------------

    def events(self, records: Records) -> Iterator[str]:
        """Yield what is drawn of batches that were handed out one after the other."""
        before: Batch | None = None
        for start in range(0, len(records), PIECE):
            piece = records[start : start + PIECE]
            columns = [piece[COLUMNS.get(name, name)].tolist() for name in Batch._fields]
            for batch in map(Batch._make, zip(*columns, strict=True)):
                if before is not None:
                    yield from self._batch(before, batch)
                before = batch
        if before is not None:
            yield from self._batch(before, None)

    def _batch(self, batch: Batch, after: Batch | None) -> Iterator[str]:
        way: list[Slice] = []
        if batch.started_ns:
            way.append(Slice(self.worker(batch.worker), batch.started_ns, batch.made_ns))
            yield self._made(batch, way[-1])
        if batch.uploaded_ns:
            copy = self._copy(batch)
            if copy.start_ns <= batch.answered_ns:  # else handed out before its copy began
                way.append(copy)
            yield self._slice(f"upload #{batch.item}", copy, {"ticket": batch.sequence})
        wait = Slice(self.consumer, batch.asked_ns, batch.answered_ns)
        if wait.end_ns > wait.start_ns:
            yield self._waited(batch, wait)
        if after is not None and after.epoch == batch.epoch:
            way.append(Slice(self.consumer, batch.answered_ns, after.asked_ns))
            yield self._slice("step", way[-1], {"index": batch.item, "ticket": batch.sequence})
        elif wait.end_ns > wait.start_ns:  # how long the last step of an epoch took, nobody knows
            way.append(wait)
        yield from self._arrow(batch, way)

    def _made(self, batch: Batch, made: Slice) -> str:
        about = {
            "epoch": batch.epoch,
            "ticket": batch.sequence,
            "attempt": batch.attempt,
            "bytes": batch.bytes,
        }
        return self._slice(f"make #{batch.item}{FATES.get(batch.kind, '')}", made, about)

    def _copy(self, batch: Batch) -> Slice:
        """Return when a batch was copied: one after the other, though issued ahead."""
        start = max(batch.upload_ns, self._copied_ns)
        self._copied_ns = max(batch.uploaded_ns, start)
        return Slice(self.upload, start, self._copied_ns)

    def _waited(self, batch: Batch, wait: Slice) -> str:
        waits = batch.waits_ns
        about = {f"{cause}_us": ns / 1000 for cause, ns in waits.items()}
        about |= {"epoch": batch.epoch, "index": batch.item, "ticket": batch.sequence}
        return self._slice(f"wait: {max(waits, key=waits.__getitem__)}", wait, about)

    def _arrow(self, batch: Batch, way: list[Slice]) -> Iterator[str]:
        """Yield the arrow through the slices of a batch's way; one slice needs none."""
        if len(way) < 2:
            return
        first, *others = way
        at = first.end_ns - min(ARROW_NS, (first.end_ns - first.start_ns) // 2)
        yield self._bend('"s"', batch, first.lane, at)
        for slice_ in others:
            at = max(at, slice_.start_ns)  # who waits has begun earlier
            phase = '"f","bp":"e"' if slice_ is others[-1] else '"t"'
            yield self._bend(phase, batch, slice_.lane, at)

    def _bend(self, phase: str, batch: Batch, lane: int, at: int) -> str:
        return (
            f'{{"ph":{phase},"cat":"fastfeed","name":"batch","id":{self._arrows + batch.sequence}'
            f',"pid":{self.group},"tid":{lane},"ts":{_us(at)}}}'
        )

    def _slice(self, name: str, slice_: Slice, about: Mapping[str, float]) -> str:
        return (
            f'{{"ph":"X","cat":"fastfeed","name":"{name}","pid":{self.group},"tid":{slice_.lane}'
            f',"ts":{_us(slice_.start_ns)},"dur":{_us(slice_.end_ns - slice_.start_ns)}'
            f',"args":{json.dumps(about)}}}'
        )

    # -- counters ---------------------------------------------------------------------------

    def counters(self, records: Records) -> Iterator[str]:
        """Yield how many batches were ready, and how many in flight, whenever that changed.

        Only as long as both are known: of what was posted last, nothing may have been handed out
        yet, and so nothing is in the journal.
        """
        answered = records["answered_ns"]
        made = np.sort(np.where(records["made_ns"], records["made_ns"], answered))
        posted = np.sort(records["posted_ns"])
        changes = np.unique(np.concatenate([posted, made, answered]))
        known = (changes >= records["asked_ns"].min()) & (changes <= posted[-1])
        for start in range(0, len(changes), PIECE):
            times = changes[start : start + PIECE][known[start : start + PIECE]]
            n_made = np.searchsorted(made, times, "right")
            ready = n_made - np.searchsorted(answered, times, "right")
            flying = np.searchsorted(posted, times, "right") - n_made
            columns = (column.tolist() for column in (times, ready, flying))
            for time, n_ready, n_flying in zip(*columns, strict=True):
                yield (
                    f'{{"ph":"C","name":"batches","pid":{self.group},"tid":{self.consumer}'
                    f',"ts":{_us(time)},"args":{{"ready":{n_ready},"in flight":{n_flying}}}}}'
                )


def _name(what: str, group: int, lane: int, name: str) -> str:
    return _about(f"{what}_name", group, lane, {"name": name})


def _order(what: str, group: int, lane: int, place: int) -> str:
    return _about(f"{what}_sort_index", group, lane, {"sort_index": place})


def _about(name: str, group: int, lane: int, about: dict[str, object]) -> str:
    return json.dumps({"ph": "M", "name": name, "pid": group, "tid": lane, "args": about})


def _us(ns: int) -> str:
    """Write ns as the format's us, exactly: floating numbers would make neighbours overlap."""
    return f"{ns // 1000}.{ns % 1000:03d}"
