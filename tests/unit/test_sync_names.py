"""Memory orders: one file owns the atomics, and every ordering is named at both of its ends."""

from __future__ import annotations

import collections
import re

from repository import tracked

END = re.compile(r"SYNC (\w+): (release and acquire in one|release|acquire)\b")


def test_only_one_file_includes_the_atomics() -> None:
    users = [path.name for path in tracked("csrc/*.[ch]") if "<stdatomic.h>" in path.read_text()]
    assert users == ["atomic.h"]


def test_orders_are_named_only_where_the_atomics_are() -> None:
    order = re.compile(r"memory_order_|\b_Atomic\b|__atomic_|__sync_|\batomic_\w+\(")
    users = {path.name for path in tracked("csrc/*.[ch]") if order.search(path.read_text())}
    assert users == {"atomic.h"}


def test_there_is_no_fence_that_stands_alone() -> None:
    fence = re.compile(r"atomic_(thread|signal)_fence|__sync_synchronize|\bmfence\b")
    for path in tracked("csrc/*.[ch]", "fastfeed/_core*.p*"):
        assert not fence.search(path.read_text()), path


def test_every_ordering_is_named_at_both_ends() -> None:
    ends: dict[str, list[str]] = collections.defaultdict(list)
    for path in tracked("csrc/*.[ch]"):
        for name, end in END.findall(path.read_text()):
            ends[name] += ["acquire", "release"] if "one" in end else [end]
    assert len(ends) >= 8
    assert {name: sorted(found) for name, found in ends.items()} == {
        name: ["acquire", "release"] for name in ends
    }
