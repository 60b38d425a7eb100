"""Each class of the core refuses what would harm it, in words, and loses nothing."""

from __future__ import annotations

import errno
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fastfeed import _core
from fastfeed.errors import CoreError, FastFeedError

PAGE = 4096


def memory(size: int) -> _core.Mapping:
    """A mapping of its own memfd."""
    fd = _core.create_memory("fastfeed-test", size)
    try:
        return _core.Mapping(fd)
    finally:
        os.close(fd)


def segment(count: int = 2, stride: int = PAGE) -> _core.Segment:
    """A segment of its own memfd."""
    fd = _core.create_memory("fastfeed-test", count * stride)
    try:
        return _core.Segment(fd, stride, count)
    finally:
        os.close(fd)


def ring(entries: int = 4, workers: int = 2) -> _core.Ring:
    """A ring in a mapping of its own."""
    return _core.Ring.create(memory(_core.Ring.bytes_for(entries, workers)), entries, workers)


@pytest.fixture
def free_memory(tmp_path: Path) -> Iterator[str]:
    """A folder whose limit files say that 1 MiB is free."""
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal: 9999 kB\nMemAvailable: 1024 kB\n")
    yield str(tmp_path)


# -- memory ---------------------------------------------------------------------------------


def test_memory_above_the_headroom_is_refused(free_memory: str) -> None:
    room = _core.headroom(free_memory)
    assert 0 < room < 1 << 20
    os.close(_core.create_memory("fastfeed-test", room, free_memory))
    with pytest.raises(MemoryError, match="ff_memory_create"):
        _core.create_memory("fastfeed-test", room + 1, free_memory)


def test_memory_of_no_bytes_is_refused() -> None:
    with pytest.raises(CoreError, match="Invalid argument") as caught:
        _core.create_memory("fastfeed-test", 0)
    assert caught.value.errno == errno.EINVAL
    assert isinstance(caught.value, FastFeedError)


def test_memory_cannot_change_its_size() -> None:
    fd = _core.create_memory("fastfeed-test", PAGE)
    for size in (0, 2 * PAGE):
        with pytest.raises(PermissionError):
            os.ftruncate(fd, size)
    os.close(fd)


def test_what_is_no_memory_cannot_be_mapped() -> None:
    reading, writing = os.pipe()
    for fd in (reading, 12345):
        with pytest.raises(CoreError, match="ff_memory_map failed"):
            _core.Mapping(fd)
    os.close(reading)
    os.close(writing)


def test_a_mapping_outlives_its_descriptor_and_is_shared() -> None:
    fd = _core.create_memory("fastfeed-test", PAGE)
    one, other = _core.Mapping(fd), _core.Mapping(fd)
    os.close(fd)
    one.copy_in(8, b"hello")
    assert bytes(memoryview(other)[8:13]) == b"hello"
    assert len(one) == PAGE


@pytest.mark.parametrize("offset", [PAGE - 3, PAGE + 1, 2**63])
def test_nothing_is_written_beyond_the_end(offset: int) -> None:
    target = memory(PAGE)
    with pytest.raises(CoreError, match=rf"4 bytes at {offset} do not fit in {PAGE}"):
        target.copy_in(offset, b"1234")
    with pytest.raises(CoreError, match="do not fit"):
        target.gather(offset, np.zeros((3, 4), np.uint8), np.array([0]))
    target.copy_in(PAGE, b"")


@pytest.mark.parametrize("row", [-1, 3, 2**62])
def test_rows_that_the_array_does_not_have_are_refused(row: int) -> None:
    with pytest.raises(CoreError, match="ff_gather failed"):
        memory(PAGE).gather(0, np.zeros((3, 4)), np.array([0, row]))


def test_no_rows_are_no_work() -> None:
    memory(PAGE).gather(PAGE, np.zeros((3, 4)), np.array([], np.int64))
    memory(PAGE).gather(0, np.zeros((3, 0)), np.array([0, 2]))


def test_arrays_that_do_not_lie_in_c_order_are_not_copied() -> None:
    with pytest.raises(ValueError, match="not C-contiguous"):
        memory(PAGE).copy_in(0, np.zeros((4, 4))[:, ::2])
    with pytest.raises(ValueError, match="not C-contiguous"):
        _core.copy(np.zeros((4, 4))[::2], np.zeros((2, 4)))


def test_copies_of_different_lengths_are_refused() -> None:
    with pytest.raises(CoreError, match="3 bytes do not fit 4"):
        _core.copy(bytearray(4), b"123")
    with pytest.raises(BufferError, match="not writable"):
        _core.copy(b"1234", b"1234")


# -- segments, leases, tensors --------------------------------------------------------------


@pytest.mark.parametrize("stride, count", [(PAGE, 0), (0, 1), (100, 1), (PAGE, 3)])
def test_slots_must_be_pages_that_are_there(stride: int, count: int) -> None:
    fd = _core.create_memory("fastfeed-test", 2 * PAGE)
    with pytest.raises(CoreError, match="ff_segment_open failed: Invalid argument"):
        _core.Segment(fd, stride, count)
    os.close(fd)
    assert _core.segments_alive() == 0


def test_all_slots_can_be_acquired_and_no_more() -> None:
    slots = segment(70)
    assert sorted(slots.acquire() for _ in range(70)) == list(range(70))
    assert slots.acquire() == -1
    slots.release(65)
    assert slots.acquire() == 65
    for slot in range(70):
        slots.release(slot)


@pytest.mark.parametrize("slot", [1, 2, 2**31])
def test_a_slot_that_nobody_has_acquired_cannot_be_given_back_or_leased(slot: int) -> None:
    slots = segment(2)
    assert slots.acquire() == 0
    with pytest.raises(CoreError, match=f"nobody has acquired slot {slot}"):
        slots.release(slot)
    with pytest.raises(CoreError, match=f"nobody has acquired slot {slot}"):
        slots.lease(slot)
    assert slots.in_use == 1
    slots.release(0)


def test_leases_and_rings_are_not_made_by_hand() -> None:
    with pytest.raises(TypeError, match=r"Segment\.lease\(\) or private_lease\(\)"):
        _core.Lease()
    with pytest.raises(TypeError, match=r"Ring\.create\(\) or Ring\.attach\(\)"):
        _core.Ring()


def test_a_private_lease_is_its_own_segment() -> None:
    lease = _core.private_lease(100)
    assert (_core.segments_alive(), len(lease)) == (1, 100)
    array = np.frombuffer(lease, np.uint8)
    assert array.ctypes.data % 64 == 0
    del lease
    assert _core.segments_alive() == 1
    del array
    assert _core.segments_alive() == 0


FLOAT = (2, 32)


@pytest.mark.parametrize(
    ("offset", "shape", "words"),
    [
        (0, (1, 26), r"\(1, 26\) does not fit in 100 bytes|104 bytes at 0 do not fit in 100"),
        (64, (10,), "40 bytes at 64 do not fit in 100"),
        (0, (2**40, 2**40), "does not fit in 100 bytes"),
        (0, (-1,), "does not fit in 100 bytes"),
        (0, (1,) * 33, "33 dimensions; DLPack tensors have up to 32"),
    ],
)
def test_a_tensor_must_lie_in_its_slot(offset: int, shape: tuple[int, ...], words: str) -> None:
    with pytest.raises(CoreError, match=words):
        _core.private_lease(100).tensor(offset, FLOAT, shape)


def test_a_tensor_must_start_at_a_multiple_of_64_bytes() -> None:
    tensor = _core.private_lease(100).tensor(4, FLOAT, (3,))
    with pytest.raises(CoreError, match="offset 4 is not a multiple of 64"):
        tensor.__dlpack__()


def test_a_tensor_makes_no_copies() -> None:
    tensor = _core.private_lease(100).tensor(0, FLOAT, (3,))
    with pytest.raises(BufferError, match="copy the tensor afterwards"):
        tensor.__dlpack__(copy=True)


def test_a_capsule_that_nobody_takes_lets_go() -> None:
    tensor = _core.private_lease(100).tensor(0, FLOAT, (5, 5))
    capsules = [tensor.__dlpack__() for _ in range(3)]
    del tensor
    assert _core.segments_alive() == 1
    capsules.clear()
    assert _core.segments_alive() == 0


# -- rings ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "entries, workers", [(0, 1), (3, 1), (2 * _core.MAX_ENTRIES, 1), (4, 0), (4, 4095)]
)
def test_a_ring_of_wrong_numbers_is_refused(entries: int, workers: int) -> None:
    assert _core.Ring.bytes_for(entries, workers) == 0
    with pytest.raises(CoreError, match="ff_ring_init failed: Invalid argument"):
        _core.Ring.create(memory(PAGE), entries, workers)


def test_a_ring_needs_room() -> None:
    with pytest.raises(CoreError, match="do not fit in 4096"):
        _core.Ring.create(memory(PAGE), 1024, 2)


def test_what_is_no_ring_cannot_be_attached() -> None:
    with pytest.raises(CoreError, match="ff_ring_attach failed: Protocol error"):
        _core.Ring.attach(memory(PAGE))


def test_workers_that_the_ring_does_not_have_are_refused() -> None:
    of_two = ring(workers=2)
    for call in (of_two.stop_worker, of_two.reset_worker, of_two.claim):
        with pytest.raises(CoreError, match="worker 2 of 2"):
            call(2)
    with pytest.raises(CoreError, match="worker 2 of 2"):
        of_two.reclaim(2, 0)
    with pytest.raises(CoreError, match="worker 5 of 2"):
        of_two.post(0, 0, 0, 0, 0, 5)
    assert of_two.outstanding == 0


def test_a_full_ring_takes_no_ticket() -> None:
    full = ring(entries=4)
    assert [full.post(i, 0, 0, 0, 0) for i in range(6)] == [0, 1, 2, 3, -1, -1]
    claim = full.claim(0, 0)
    assert claim is not None
    full.publish(claim, _core.DATA)
    assert full.take() is not None
    assert full.post(9, 0, 0, 0, 0) == 4


def test_a_ticket_that_was_given_to_another_worker_cannot_be_published() -> None:
    tickets = ring()
    tickets.post(7, 0, 0, 0, 0)
    lost = tickets.claim(0, 0)
    assert lost is not None
    assert tickets.reclaim(0, 1) == 1
    with pytest.raises(CoreError) as caught:
        tickets.publish(lost, _core.DATA, 1)
    assert caught.value.errno == errno.ECANCELED
    again = tickets.claim(1, 0)
    assert again is not None
    assert again.attempt == 1
    tickets.publish(again, _core.DATA, 2)
    batch = tickets.take()
    assert batch is not None
    assert (batch.data_bytes, batch.worker) == (2, 1)
    with pytest.raises(CoreError):
        tickets.publish(again, _core.DATA)


def test_publishing_needs_a_claim() -> None:
    with pytest.raises(TypeError, match="Argument 'claim' has incorrect type"):
        ring().publish(None, _core.DATA)  # type: ignore[arg-type]


def test_a_stopped_ring_sends_everybody_home() -> None:
    stopped = ring()
    gone_home = []

    def work() -> None:
        try:
            stopped.claim(1, -1)
        except StopIteration:
            gone_home.append(1)

    waiting = threading.Thread(target=work)
    waiting.start()
    stopped.stop()
    waiting.join()
    assert gone_home == [1]
    stopped.post(0, 0, 0, 0, 0)
    with pytest.raises(StopIteration):
        stopped.claim(0, 0)


def test_taking_waits_until_something_is_published() -> None:
    tickets = ring()
    assert tickets.take_wait(timeout_ns=1000) is None
    tickets.post(3, 0, 0, 0, 0)

    def work() -> None:
        claim = tickets.claim(0, -1)
        assert claim is not None
        tickets.publish(claim, _core.END)

    worker = threading.Thread(target=work)
    worker.start()
    batch = tickets.take_wait(timeout_ns=-1)
    worker.join()
    assert batch is not None
    assert (batch.index, batch.kind) == (3, _core.END)


# -- the monitor ----------------------------------------------------------------------------


def test_a_monitor_sees_a_process_end_and_mends_the_ring() -> None:
    tickets = ring()
    monitor = _core.Monitor(tickets, 1)
    tickets.post(3, 0, 0, 0, 0)
    assert tickets.claim(1, 0) is not None
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    monitor.watch(1, os.pidfd_open(process.pid))
    assert (monitor.deaths, monitor.next_death()) == (0, None)
    process.kill()
    again = tickets.claim(0, -1)  # as soon as it is open again
    assert again is not None
    assert (again.index, again.attempt) == (3, 1)
    process.communicate()
    assert (monitor.deaths, monitor.next_death(), monitor.next_death()) == (1, 1, None)
    monitor.stop()


def test_a_monitor_that_was_stopped_says_so() -> None:
    monitor = _core.Monitor(ring(), 1)
    monitor.stop()
    monitor.stop()
    with pytest.raises(CoreError, match="this monitor has been stopped"):
        _ = monitor.deaths
    with pytest.raises(CoreError, match="this monitor has been stopped"):
        monitor.next_death()
    with pytest.raises(CoreError, match="this monitor has been stopped"):
        ring().take_wait(True, monitor)


def test_a_worker_is_watched_once() -> None:
    monitor = _core.Monitor(ring(workers=2), 1)
    reading, writing = os.pipe()
    monitor.watch(0, os.dup(reading))
    again = os.dup(reading)
    with pytest.raises(CoreError, match="busy"):
        monitor.watch(0, again)
    with pytest.raises(CoreError, match="worker 2 of 2"):
        monitor.watch(2, again)
    for fd in (again, reading, writing):
        os.close(fd)
    monitor.stop()


def test_a_monitor_needs_a_ring() -> None:
    with pytest.raises(TypeError, match="Argument 'ring' has incorrect type"):
        _core.Monitor(None, 1)  # type: ignore[arg-type]


def test_nothing_of_the_core_can_be_pickled_or_subclassed() -> None:
    for thing in (ring(), memory(PAGE), _core.private_lease(1)):
        with pytest.raises(TypeError):
            pickle.dumps(thing)
        with pytest.raises(TypeError, match="not an acceptable base type"):
            type("Sub", (type(thing),), {})
