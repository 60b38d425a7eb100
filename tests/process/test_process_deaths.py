"""Workers that die: nothing is lost, doubled or out of order, and nothing waits for ever."""

from __future__ import annotations

import itertools
import os
import random
import signal
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest
from leftovers import eventually, open_descriptors, worker_pids
from process_killer import kill_some
from process_sources import Batches, Divided, of_many_sizes, once
from process_support import assert_same, copied, indices, made_by_hand, outcomes

from fastfeed import Loader
from fastfeed.errors import WorkerCrashed, WorkersLost
from fastfeed.workers import process
from fastfeed.workers.forkserver import SERVERS

pytestmark = pytest.mark.filterwarnings("ignore:All but", "ignore:A batch of")


def kill_me() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_item_whose_worker_is_killed_is_made_again_with_the_same_bytes(tmp_path, workers):
    marker = tmp_path / "killed"
    source = Batches(12, lambda i: i == 5 and once(marker) and kill_me())
    with Loader(source, workers=workers) as loader:
        assert_same(loader, made_by_hand(Batches(12))[0])
        assert marker.exists()
        assert loader.stats().batches == 12
        if workers == 1:  # with two, the other may have made everything before anybody looked
            assert loader.stats().worker_restarts == 1


@pytest.mark.parametrize(
    ("end", "exitcode", "words"),
    [(kill_me, -9, "signal 9"), (lambda: os._exit(3), 3, "exit code 3")],
)
def test_an_index_that_always_ends_its_worker_is_reported_in_its_place(end, exitcode, words):
    source = Batches(8, lambda i: i == 3 and end())
    with Loader(source, workers=2) as loader:
        found = outcomes(loader)
    assert len(found) == 8
    crash = found.pop(3)
    assert isinstance(crash, WorkerCrashed)
    assert (crash.index, crash.epoch, crash.exitcode) == (3, 0, exitcode)
    assert words in str(crash) and "3 times" in str(crash)
    assert indices(found) == [0, 1, 2, 4, 5, 6, 7]


def test_the_epoch_after_a_crash_is_whole(tmp_path):
    epoch_0 = tmp_path / "epoch 0 is over"
    source = Batches(6, lambda i: i == 2 and not epoch_0.exists() and kill_me())
    with Loader(source, workers=2, max_queue_size=4) as loader:
        assert len([x for x in outcomes(loader) if isinstance(x, WorkerCrashed)]) == 1
        epoch_0.touch()
        assert indices(x for x in outcomes(loader) if isinstance(x, tuple)) in (
            [0, 1, 2, 3, 4, 5],
            [0, 1, 3, 4, 5],  # its item 2 had been made ahead
        )
        assert indices(loader) == [0, 1, 2, 3, 4, 5]


def run_under_fire(deaths: int, ordered: bool, rows: int | Callable[[int], int] = 8) -> None:
    """Loop over epochs while a thread kills random workers, until so many have died."""
    source = Batches(40, lambda i: time.sleep(random.random() / 500), rows)
    expected = made_by_hand(Batches(40, rows=rows))[0]
    progress, done = threading.Event(), threading.Event()
    killer = threading.Thread(target=kill_some, args=(progress, done))
    with Loader(source, workers=3, ordered=ordered) as loader:
        killer.start()
        try:
            for epoch in itertools.count():
                batches = []
                for batch in loader:
                    batches.append(copied(batch))
                    progress.set()
                if not ordered:
                    batches.sort(key=lambda batch: int(batch[0][0, 0]))
                assert indices(batches) == list(range(40))
                if epoch == 0:
                    assert_same(batches, expected)
                if loader.stats().worker_restarts >= deaths:
                    break
        finally:
            done.set()
            killer.join()


@pytest.fixture
def endless_patience(monkeypatch):
    """The killer may hit one item, or one starting worker, more often than chance allows."""
    monkeypatch.setattr(process, "RETRIES", 200)
    monkeypatch.setattr(process, "STILLBIRTHS", 10_000)


@pytest.mark.parametrize("ordered", [True, False])
def test_nothing_is_lost_doubled_or_out_of_order_while_workers_are_killed(
    endless_patience, ordered
):
    run_under_fire(120, ordered)


def test_batches_that_outgrow_their_slots_while_workers_are_killed(endless_patience):
    for _ in range(5):  # it is in the first epochs that batches travel outside of slots
        run_under_fire(15, ordered=True, rows=of_many_sizes)


@pytest.mark.long
def test_thousands_of_deaths(endless_patience):
    run_under_fire(3000, ordered=True)


def test_a_worker_that_is_stopped_and_continued_goes_on():
    with Loader(Batches(40), workers=2, max_queue_size=3) as loader:
        batches = iter(loader)
        given = [copied(next(batches))]
        for pid in worker_pids():
            os.kill(pid, signal.SIGSTOP)
        waker = threading.Timer(
            0.3, lambda: [os.kill(pid, signal.SIGCONT) for pid in worker_pids()]
        )
        waker.start()
        given += [copied(batch) for batch in batches]
        waker.join()
        assert_same(given, made_by_hand(Batches(40))[0])
        assert loader.stats().worker_restarts == 0


def test_closing_ends_a_worker_that_is_stopped():
    with Loader(Batches(40), workers=2) as loader:
        next(iter(loader))
        os.kill(worker_pids()[0], signal.SIGSTOP)


def test_a_shard_whose_worker_dies_is_reported_and_not_begun_again(tmp_path):
    marker = tmp_path / "killed"
    source = Divided(12, lambda i: i == 5 and once(marker) and kill_me())
    with Loader(source, workers=2) as loader:
        found = outcomes(loader)
        crashes = [x for x in found if isinstance(x, Exception)]
        assert [type(crash) for crash in crashes] == [WorkerCrashed]
        assert "cannot be continued" in str(crashes[0])
        numbers = [int(x[0]) for x in found if isinstance(x, np.ndarray)]
        assert sorted(numbers) == [0, 1, 2, 3, 4, 6, 8, 10]
        assert sorted(int(x[0]) for x in loader) == list(range(12))


def test_batches_of_a_dead_worker_that_lie_outside_their_slots_are_delivered(tmp_path):
    marker = tmp_path / "killed"
    source = Batches(
        10, lambda i: i == 6 and once(marker) and kill_me(), rows=lambda i: 100_000 if i else 1
    )
    with Loader(source, workers=1, max_queue_size=8) as loader:
        batches = iter(loader)
        given = [copied(next(batches)), copied(next(batches))]  # the first shows a slot's size
        assert eventually(marker.exists)  # items 1 to 5 came from the worker that is dead now
        given += [copied(batch) for batch in batches]
        assert_same(given, made_by_hand(Batches(10, rows=source.rows))[0])
        assert loader.stats().worker_restarts == 1


def test_dead_workers_are_forgotten_when_their_last_batch_is_taken(tmp_path):
    before = open_descriptors()
    source = Batches(30, lambda i: i % 3 == 2 and once(tmp_path / str(i)) and kill_me())
    source.rows = lambda i: 10_000 * i if i % 3 else 1  # many are larger than all before
    with Loader(source, workers=1, max_queue_size=8) as loader:
        for batch in loader:
            copied(batch)
        assert loader.stats().worker_restarts >= 10
        assert loader._engine._pool._departed == []
        mine = open_descriptors() - before
        assert len([fd for fd in mine if "pidfd" in fd]) == 2  # ours, the monitor's


def kill_servers() -> None:
    for server in SERVERS.values():
        if server._process is not None:
            server._process.send_signal(signal.SIGKILL)


def test_a_loader_works_after_the_fork_server_was_killed():
    with Loader(Batches(4), workers=1) as loader:
        assert indices(loader) == [0, 1, 2, 3]
    for _ in range(5):
        kill_servers()  # and at once, before the system has noticed:
        with Loader(Batches(4), workers=1) as loader:
            assert indices(loader) == [0, 1, 2, 3]


def test_workers_are_replaced_after_the_fork_server_was_killed(tmp_path):
    marker = tmp_path / "killed"
    source = Batches(12, lambda i: i == 8 and once(marker) and kill_me())
    with Loader(source, workers=1, max_queue_size=2) as loader:
        batches = iter(loader)
        given = [copied(next(batches))]
        kill_servers()
        given += [copied(batch) for batch in batches]
        assert_same(given, made_by_hand(Batches(12))[0])


class DiesWhenUnpacked(Batches):
    """Ends every process but its maker's while it is unpickled."""

    def __init__(self) -> None:
        super().__init__(4)
        self.maker = os.getpid()

    def __setstate__(self, state: dict) -> None:
        self.__dict__ = state
        if os.getpid() != self.maker:
            kill_me()


def test_workers_that_die_before_they_are_ready_are_not_replaced_for_ever():
    with Loader(DiesWhenUnpacked(), workers=2) as loader:
        for _ in range(2):  # asked again, it says so again
            with pytest.raises(WorkersLost, match=r"ended before they could start.*signal 9"):
                next(iter(loader))
