"""Reads a trace as strictly as the format is written, and as Perfetto's importer takes it.

Rules: "Trace Event Format" (N. Duca and D. Sinclair), and for what that leaves open Perfetto's
``src/trace_processor/importers/json``: it drops slices that overlap without nesting, binds an arrow
to the slice that is open at its time, and has 32 bits for the numbers of processes and threads.
"""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise

METADATA = {
    "process_name": ("name", str),
    "process_sort_index": ("sort_index", int),
    "thread_name": ("name", str),
    "thread_sort_index": ("sort_index", int),
}
KEYS = {
    "M": {"ph", "name", "pid", "tid", "args"},
    "X": {"ph", "cat", "name", "pid", "tid", "ts", "dur", "args"},
    "C": {"ph", "name", "pid", "tid", "ts", "args"},
    "s": {"ph", "cat", "name", "id", "pid", "tid", "ts"},
    "t": {"ph", "cat", "name", "id", "pid", "tid", "ts"},
    "f": {"ph", "cat", "name", "id", "pid", "tid", "ts", "bp"},
}
"""Those of each phase: all of them, and no others."""


@dataclass
class Slice:
    """What was done in a lane, in us."""

    name: str
    lane: str
    start: Decimal
    end: Decimal
    args: dict


@dataclass
class Trace:
    """What a reader sees."""

    about: dict
    groups: list[str] = field(default_factory=list)
    lanes: dict[str, list[Slice]] = field(default_factory=dict)
    arrows: list[list[Slice]] = field(default_factory=list)
    counters: list[tuple[Decimal, int, int]] = field(default_factory=list)

    def named(self, beginning: str) -> list[Slice]:
        """Return all slices with a name that begins so, by their time."""
        found = [
            one for lane in self.lanes.values() for one in lane if one.name.startswith(beginning)
        ]
        return sorted(found, key=lambda one: one.start)


def read(path) -> Trace:
    """Return a trace; assert that nothing in it is against a rule."""
    with gzip.open(path, "rt") if str(path).endswith(".gz") else open(path) as file:
        whole = json.load(file, parse_float=Decimal)
    assert whole.keys() == {"displayTimeUnit", "traceEvents", "otherData"}
    assert whole["displayTimeUnit"] in ("ms", "ns")
    trace = Trace(whole["otherData"])
    by_phase = defaultdict(list)
    for event in whole["traceEvents"]:
        check_event(event)
        by_phase[event["ph"]].append(event)
    names = check_names(by_phase["M"], trace)
    slices = check_slices(by_phase["X"], names, trace)
    check_arrows([*by_phase["s"], *by_phase["t"], *by_phase["f"]], slices, trace)
    check_counters(by_phase["C"], trace)
    return trace


def check_event(event: dict) -> None:
    assert event.keys() == KEYS[event["ph"]], event
    assert event["name"] and isinstance(event["name"], str)
    for number in (event["pid"], event["tid"], event.get("id", 0)):
        assert isinstance(number, int) and number >= 0, event
    assert max(event["pid"], event["tid"]) < 1 << 32
    assert event.get("id", 0) < 1 << 53, "JavaScript rounds it"
    assert event.get("ts", 0) >= 0 and event.get("dur", 0) >= 0


def check_names(events: list[dict], trace: Trace) -> dict[int, str]:
    """Return the names of lanes by their numbers, which Perfetto wants to differ in all groups."""
    names: dict[int, str] = {}
    for event in events:
        key, kind = METADATA[event["name"]]
        assert event["args"].keys() == {key} and isinstance(event["args"][key], kind)
        if event["name"] == "process_name":
            trace.groups.append(event["args"]["name"])
        elif event["name"] == "thread_name":
            assert event["tid"] not in names
            names[event["tid"]] = f"{len(trace.groups) - 1}: {event['args']['name']}"
            trace.lanes[names[event["tid"]]] = []
    return names


def check_slices(events: list[dict], names: dict[int, str], trace: Trace) -> dict[int, list[Slice]]:
    found: dict[int, list[Slice]] = defaultdict(list)
    for event in events:
        start, lane = event["ts"], names[event["tid"]]
        made = Slice(event["name"], lane, start, start + event["dur"], event["args"])
        found[event["tid"]].append(made)
        trace.lanes[lane].append(made)
    for lane in [*found.values(), *trace.lanes.values()]:
        lane.sort(key=lambda one: one.start)
        for before, after in pairwise(lane):
            assert after.start >= before.end, f"{before} and {after} overlap"
    return found


def check_arrows(events: list[dict], slices: dict[int, list[Slice]], trace: Trace) -> None:
    """Each begins once, ends once and later, and has a slice at each point."""
    ways = defaultdict(list)
    for event in events:
        ways[event["cat"], event["name"], event["id"]].append(event)
    for way in ways.values():
        way.sort(key=lambda event: (event["ts"], "stf".index(event["ph"])))
        phases = "".join(event["ph"] for event in way)
        assert phases in ("sf", "stf"), f"{phases}: {way}"
        assert way[-1]["bp"] == "e"
        trace.arrows.append([slice_at(event["ts"], slices[event["tid"]]) for event in way])


def slice_at(time: Decimal, lane: list[Slice]) -> Slice:
    """Return the slice of a lane that is open at a time: the last that has begun."""
    begun = [one for one in lane if one.start <= time]
    assert begun and time <= begun[-1].end, f"an arrow at {time} binds to no slice"
    return begun[-1]


def check_counters(events: list[dict], trace: Trace) -> None:
    for event in events:
        assert event["args"].keys() == {"ready", "in flight"}
        ready, flying = event["args"]["ready"], event["args"]["in flight"]
        assert isinstance(ready, int) and isinstance(flying, int)
        assert ready >= 0 and flying >= 0
        trace.counters.append((event["ts"], ready, flying))
