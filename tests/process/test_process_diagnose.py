"""diagnose(): which of a loop's troubles it finds, and that the loader is as good as before."""

import itertools
import os
import signal
import time

import numpy as np
import pytest
from process_sources import Batches, Divided, once
from process_support import indices

from fastfeed import Loader
from fastfeed.errors import ArgumentError, FastFeedError, LoaderClosed
from fastfeed.monitor.diagnose import await_rest

STEP_S = 0.005
FEW = 20


def sleeping_step(batch):
    time.sleep(STEP_S)


def sleep_for(seconds):
    return lambda index: time.sleep(seconds)


def slow_now_and_then(index):
    time.sleep(20 * STEP_S if index % 25 == 3 else 0.0)


def test_a_loader_that_keeps_up():
    with Loader(Batches(30), workers=1) as loader:
        found = loader.diagnose(sleeping_step, FEW)
    assert found.steps == FEW
    assert found.data_stall.value < 0.3 and found.utilisation.value > 0.5
    assert found.data_ready > 0.7
    assert found.verdict.kind == "fed" and "not input-bound" in str(found)


def test_workers_that_are_too_few():
    with Loader(Batches(30, sleep_for(4 * STEP_S)), workers=1, max_queue_size=4) as loader:
        found = loader.diagnose(sleeping_step, FEW)
    assert found.verdict.kind == "workers" and found.verdict.workers_needed >= 2
    assert 0.2 < found.data_stall.value < 0.95, "0.75 if nobody else is there"
    assert found.verdict.production_ratio > 0.9 * found.verdict.wait_ratio
    assert found.data_ready < 0.5
    parts = found.data_stall.value + found.interference.value + found.utilisation.value
    assert parts == pytest.approx(1)
    assert found.most_speed_up.value == pytest.approx(found.real_seconds / found.quiet_seconds)


def test_batches_that_are_late_now_and_then():
    source = Batches(50, slow_now_and_then)
    with Loader(source, workers=2, max_queue_size=4) as loader:
        found = loader.diagnose(sleeping_step, 50)
    assert found.verdict.kind == "tail" and found.verdict.ahead_needed > 20
    assert found.verdict.order_ratio > found.verdict.production_ratio
    assert found.data_stall.value > 0.2, "waits are rare, so medians would not show them"


def test_workers_that_take_the_core_of_the_step():
    """All on one core, so they take turns: half of the time is the workers'."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        with Loader(Batches(30, compute_on_one_core), workers=2) as loader:
            found = loader.diagnose(lambda batch: compute(0), 2 * FEW)
    finally:
        os.sched_setaffinity(0, allowed)
    assert found.interference.value + found.data_stall.value > 0.1, "0.5 if nobody else is there"
    assert found.busy_seconds > found.quiet_seconds


def compute_on_one_core(index):
    """Their server may be older than the limit of this process."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    compute(index)


def compute(index):
    end = time.thread_time() + STEP_S
    while time.thread_time() < end:
        pass


def test_the_calling_thread_as_the_only_worker():
    with Loader(Batches(30, sleep_for(2 * STEP_S)), workers=0) as loader:
        found = loader.diagnose(sleeping_step, FEW)
    assert (found.verdict.kind, found.data_ready) == ("workers", 0.0)
    assert abs(found.interference.value) < 0.2
    assert "the calling thread makes them" in str(found)


@pytest.mark.parametrize("copies", [True, False])
def test_making_that_is_a_copy_is_told_from_making_that_is_slow(copies):
    source = Large() if copies else Batches(9, sleep_for(0.02))
    with Loader(source, workers=1, max_queue_size=2) as loader:
        found = loader.diagnose(lambda batch: None, FEW)
    assert ("fill()" in str(found)) == copies == (found.verdict.kind == "copy")


class Large:
    """A batch that is there already, and larger than caches."""

    def __init__(self):
        self.batch = np.ones(1 << 24, np.uint8)

    def __len__(self):
        return 10

    def __getitem__(self, index):
        return self.batch


def test_a_step_may_write_into_its_batch():
    seen = []

    def step(batch):
        seen.append(batch[0].max() <= 30)
        batch[0][:] = 1000

    with Loader(Batches(30), workers=2) as loader:
        loader.diagnose(step, FEW)
    assert len(seen) > 3 * FEW and all(seen)


def test_the_workers_rest_while_the_step_is_alone():
    """They make a batch for each that is taken, and no other."""
    at_work = []

    def step(batch):
        now = loader._view().workers()
        at_work.append(sum(bool(each.making_since_ns) for each in now))
        time.sleep(STEP_S)

    with Loader(Batches(30, sleep_for(4 * STEP_S)), workers=2, max_queue_size=4) as loader:
        loader.diagnose(step, FEW)
    quiet = np.array(at_work[24:]).reshape(5, -1)[:, -FEW // 5 :]
    assert quiet.sum() == 0
    assert np.mean(at_work) > 0.5, "and they do work while it is not"


@pytest.mark.parametrize("epochs_before", [0, 2])
def test_short_epochs_are_gone_through_one_after_the_other(epochs_before):
    with Loader(Batches(3), workers=2) as loader:
        for _ in range(epochs_before):
            list(loader)
        assert loader.diagnose(sleeping_step, FEW).steps == FEW
        assert indices(loader) == [0, 1, 2]


def test_divided_generators_are_diagnosed():
    with Loader(Divided(7), workers=2) as loader:
        assert loader.diagnose(sleeping_step, FEW).steps == FEW
        assert sorted(int(batch[0]) for batch in loader) == list(range(7))


@pytest.mark.parametrize("options", [{"use_multiprocessing": False}, {"ordered": False}])
def test_threads_and_loaders_without_an_order(options):
    with Loader(Batches(10), workers=2, **options) as loader:
        assert loader.diagnose(sleeping_step, FEW).verdict.kind == "fed"
        assert sorted(indices(loader)) == list(range(10))


@pytest.mark.parametrize("framework", ["torch", "jax", "tensorflow"])
def test_batches_of_every_framework(framework):
    with Loader(Batches(10), workers=1, framework=framework) as loader:
        found = loader.diagnose(lambda batch: time.sleep(STEP_S * bool(batch[0].shape)), FEW)
    assert found.quiet_seconds >= STEP_S


def test_it_is_a_table_for_people():
    with Loader(Batches(30), workers=1) as loader:
        lines = str(loader.diagnose(sleeping_step, FEW)).splitlines()
    assert [line[:21] for line in lines[:3]] == [
        *("step, workers at rest", "step, workers busy   ", "step, with the loader")
    ]
    assert all(len(line) <= 79 for line in lines[:5])
    assert "±" in lines[1] and lines[-1].startswith("not input-bound")


# -- what goes wrong ------------------------------------------------------------------------


def test_what_the_step_raises_comes_through_and_the_loader_stays_good():
    with Loader(Batches(12), workers=2) as loader:
        for when in (1, 40):  # in the real run, and in one with the cached batch
            with pytest.raises(ZeroDivisionError, match=f"step {when}"):
                loader.diagnose(fails_at(when), FEW)
        assert loader.diagnose(lambda batch: None, FEW).steps == FEW
        assert indices(loader) == list(range(12))


def fails_at(when):
    calls = itertools.count(1)

    def step(batch):
        if next(calls) == when:
            raise ZeroDivisionError(f"step {when}")

    return step


def test_ctrl_c_ends_it():
    calls = itertools.count(1)

    def step(batch):
        if next(calls) == 30:
            signal.raise_signal(signal.SIGINT)

    with Loader(Batches(12), workers=2) as loader:
        with pytest.raises(KeyboardInterrupt):
            loader.diagnose(step, FEW)
        assert indices(loader) == list(range(12))


def test_what_the_source_raises_comes_through():
    def fail(index):
        if index == 7:
            raise ValueError("item 7")

    with Loader(Batches(12, fail), workers=2) as loader, pytest.raises(ValueError, match="item 7"):
        loader.diagnose(sleeping_step, FEW)


def test_a_worker_that_is_killed_does_not_hold_it_up(tmp_path):
    def die_once(index):
        if index == 25 and once(tmp_path / "died"):
            os.kill(os.getpid(), signal.SIGKILL)

    with Loader(Batches(60, die_once), workers=1, max_queue_size=4) as loader:
        assert loader.diagnose(sleeping_step, FEW).steps == FEW
        assert loader.stats().worker_restarts == 1


def test_who_is_dead_is_not_waited_for():
    """The loop replaces dead workers when it waits for a batch, and here it does not."""
    with Loader(Batches(20, sleep_for(0.03)), workers=1, max_queue_size=15) as loader:
        batches = iter(loader)
        next(batches)
        view = loader._view()
        (worker,) = view.workers()
        os.kill(worker.pid, signal.SIGKILL)
        await_rest(view)
        assert view.totals().ready < view.totals().outstanding
        assert sum(1 for _ in batches) == 19


def test_an_iterator_is_not_used_up():
    with Loader(iter([np.zeros(3)] * 5)) as loader:
        with pytest.raises(ArgumentError, match=r"use up .* Received: an iterator"):
            loader.diagnose(sleeping_step)
        assert len(list(loader)) == 5


def test_a_loop_that_goes_on_is_not_ended():
    with Loader(Batches(12), workers=2) as loader:
        seen = []
        for batch in loader:
            seen.append(int(batch[0][0, 0]))
            with pytest.raises(FastFeedError, match="before or after that loop"):
                loader.diagnose(sleeping_step, FEW)
            if len(seen) == 2:
                break
        assert seen == [0, 1]
        del batch
        assert loader.diagnose(sleeping_step, FEW).steps == FEW  # that loop was left
        assert indices(loader) == list(range(12))


@pytest.mark.parametrize("n", [FEW - 1, 0, -1, True, 50.0, None])
def test_too_few_steps_are_refused(n):
    wanted = pytest.raises(ArgumentError, match=r"integer from 20 on\. Received: n=")
    with Loader(Batches(12), workers=0) as loader, wanted:
        loader.diagnose(sleeping_step, n)


def test_a_step_that_is_none_and_a_closed_loader_are_refused():
    wanted = pytest.raises(ArgumentError, match=r"function of one batch\. Received: step=3")
    with Loader(Batches(12), workers=0) as loader, wanted:
        loader.diagnose(3)
    with pytest.raises(LoaderClosed):
        loader.diagnose(sleeping_step)


def test_a_generator_that_gives_nothing_says_so():
    def nothing():
        yield from ()

    wanted = pytest.raises(FastFeedError, match="no batch in a whole epoch")
    with Loader(nothing) as loader, wanted:
        loader.diagnose(sleeping_step)
