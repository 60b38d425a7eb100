"""What could go wrong on a real GPU only by its timing: early reuse, captures, deaths in a copy."""

from __future__ import annotations

import os
import signal
import time

import pytest
from device_support import wait_until_ready
from gpu_support import LARGE, Constant, each_framework, framework
from leftovers import worker_pids

from fastfeed import Loader

pytestmark = pytest.mark.gpu

TWO = {"workers": 2, "use_multiprocessing": True, "max_queue_size": 6}


def sums(length: int) -> list[int]:
    """Return the sum of each batch of `Constant`."""
    return [index * LARGE for index in range(length)]


@each_framework
@pytest.mark.parametrize("stable", [False, True])
def test_batches_dropped_at_once_are_not_overwritten_before_they_were_read(
    name: str, stable: bool
) -> None:
    """The sums begin long after the batch was dropped, when the next ones have been uploaded."""
    late = framework(name)
    with Loader(
        Constant(60), device="cuda", framework=name, stable_addresses=stable,
        device_queue_size=3, **TWO,
    ) as loader:  # fmt: skip
        found = []
        for batch in loader:
            found.append(late.late_sum(batch))
            del batch
        assert [int(each) for each in found] == sums(60)


def test_another_stream_that_was_recorded_is_waited_for() -> None:
    torch = framework("torch").torch
    late, other = framework("torch"), torch.cuda.Stream()
    with Loader(Constant(40), device="cuda", framework="torch", **TWO) as loader:
        found = []
        for batch in loader:
            loader.record_stream(batch, other)
            with torch.cuda.stream(other):
                found.append(late.late_sum(batch))
            del batch
        torch.cuda.synchronize()
        assert [int(each) for each in found] == sums(40)


def test_the_current_stream_at_next_is_the_one_that_waits() -> None:
    torch = framework("torch").torch
    late, own = framework("torch"), torch.cuda.Stream()
    with (
        Loader(Constant(40), device="cuda", framework="torch", **TWO) as loader,
        torch.cuda.stream(own),
    ):
        found = []
        for batch in loader:
            found.append(late.late_sum(batch))
            del batch
        own.synchronize()
        assert [int(each) for each in found] == sums(40)


def slowly(index: int) -> None:
    time.sleep(0.02)


def test_uploads_go_on_while_a_graph_is_captured() -> None:
    """A capture forbids every thread what might disturb it; uploads must not, nor be disturbed."""
    torch = framework("torch").torch
    numbers = torch.arange(8, device="cuda")
    assert (numbers * 2).tolist() == list(range(0, 16, 2))  # loads the kernel before the capture
    with Loader(
        Constant(60, slowly), device="cuda", framework="torch", device_queue_size=60, **TWO
    ) as loader:
        batches = iter(loader)
        found = [next(batches).sum(dtype=torch.int64)]
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            doubled = numbers * 2
            wait_until_ready(loader, loader.stats().device.waiting + 3)  # type: ignore[union-attr]
        graph.replay()
        assert doubled.tolist() == list(range(0, 16, 2))
        found += [batch.sum(dtype=torch.int64) for batch in batches]
        assert [int(each) for each in found] == sums(60)


def test_workers_that_are_killed_while_their_slots_are_copied() -> None:
    """A slot's pages stay locked, and its batch whole, whoever wrote it is dead by then."""
    framework("cupy")
    with Loader(Constant(80), device="cuda", **TWO) as loader:
        killed, count = 0, 0
        for index, batch in enumerate(loader):
            if index % 20 == 5:
                os.kill(worker_pids()[0], signal.SIGKILL)
                killed += 1
            assert bool((batch == index).all())
            count += 1
            del batch
        assert (count, killed) == (80, 4)
        assert 1 <= loader.stats().worker_restarts <= 4
