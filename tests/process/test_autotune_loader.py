"""``workers="auto"`` and ``max_queue_size="auto"`` as a user sees them."""

from __future__ import annotations

import itertools
import os
import re
import time
from dataclasses import asdict

import numpy as np
import pytest
from docs_pages import blocks, printed_by
from process_sources import Batches, Divided
from process_support import indices

from fastfeed import Loader
from fastfeed.autotune import controller
from fastfeed.autotune.history import Decision
from fastfeed.errors import ArgumentError
from fastfeed.workers.process import ProcessPool
from fastfeed.workers.thread import ThreadPool

pytestmark = pytest.mark.filterwarnings("ignore:All but")


@pytest.fixture
def short_windows(monkeypatch):
    """Windows of some steps, however little time those take."""
    monkeypatch.setattr(controller, "WINDOW_S", 0.1)
    monkeypatch.setattr(controller, "WINDOW_STEPS", 20)


def doze(index: int) -> None:
    time.sleep(0.008)


def run(loader: Loader, steps: int, step_s: float = 0.001) -> None:
    for index, batch in enumerate(itertools.islice(loader, steps)):
        assert int(batch[0][0, 0]) == index
        time.sleep(step_s)


@pytest.mark.parametrize("use_multiprocessing", [True, False])
def test_workers_and_queue_are_found_while_the_loop_runs(short_windows, use_multiprocessing):
    source = Batches(10_000, doze)
    with Loader(
        source, workers="auto", max_queue_size="auto", use_multiprocessing=use_multiprocessing
    ) as loader:
        assert (loader.autotune.workers, loader.autotune.ahead) == (1, 10)
        run(loader, 300)
        tuned = loader.autotune
        assert tuned.history[0].rule == "start" and tuned.history[0].workers_before == 1
        # 8 ms to make and 1 ms to use; both take longer where others use the processors
        assert 3 <= tuned.workers == loader.stats().workers <= 16
        assert tuned.ahead == loader.stats().ahead == tuned.history[-1].ahead
        assert {"seconds", "batches", "reason", "stall"} <= asdict(tuned.history[0]).keys()
        for entry in tuned.history:
            assert isinstance(entry, Decision) and entry.reason and entry.rule in str(entry)
            assert entry.step_seconds >= 0.001 and entry.make_seconds >= 0.008


def test_one_worker_that_is_enough_stays_alone(short_windows):
    with Loader(Batches(10_000), workers="auto") as loader:
        run(loader, 150)
        assert [entry for entry in loader.autotune.history if entry.is_change] == []
        assert (loader.stats().workers, loader.stats().ahead) == (1, 10)


def test_a_frozen_loader_changes_nothing_until_it_is_thawed(short_windows):
    with Loader(Batches(10_000, doze), workers="auto", max_queue_size="auto") as loader:
        loader.autotune.freeze()
        assert loader.autotune.frozen and "frozen" in repr(loader.autotune)
        run(loader, 100)
        assert loader.autotune.history == [] and loader.stats().workers == 1
        loader.autotune.thaw()
        assert not loader.autotune.frozen
        run(loader, 200)
        assert loader.stats().workers > 1


def test_the_queue_alone(short_windows):
    with Loader(Batches(10_000, doze), workers=2, max_queue_size="auto") as loader:
        run(loader, 150)
        assert loader.stats().workers == 2
        assert {entry.workers for entry in loader.autotune.history} <= {2}


def test_the_workers_alone(short_windows):
    with Loader(Batches(10_000, doze), workers="auto", max_queue_size=3) as loader:
        run(loader, 150)
        assert loader.stats().workers == 3  # a fourth would have no ticket
        assert loader.stats().ahead == 3


def test_the_ceilings(short_windows):
    source = Batches(10_000, doze, rows=1000)  # 16 kB and 8 kB: slots of 28 KiB
    with Loader(source, workers="auto", max_queue_size="auto", memory_ceiling=200_000) as loader:
        run(loader, 150)
        stats = loader.stats()
        assert stats.slots == 200_000 // stats.slot_bytes + 4
        assert stats.ahead <= stats.slots - 4
        free = stats.slots - 4 - stats.ahead
        assert (f"{stats.ahead} ahead + 4 in use + {free} free" in str(stats)) == (free > 0)
    with Loader(Batches(10_000, burn), workers="auto", cpu_ceiling=0.05) as loader:
        run(loader, 150)
        assert loader.stats().workers == 1


def burn(index: int) -> None:
    until = time.thread_time() + 0.004
    while time.thread_time() < until:
        pass


def test_a_divided_generator_keeps_its_shards_and_says_so(short_windows):
    with Loader(Divided(600), workers="auto", max_queue_size="auto", cpu_ceiling=3) as loader:
        assert sorted(int(batch[0]) for batch in loader) == list(range(600))
        assert loader.stats().workers == 3
        said = [entry.reason for entry in loader.autotune.history if entry.rule == "start"]
        assert said == [
            "each of the 3 workers runs its own shard of the generator, so their number, that of "
            "the cores they may use, cannot change while it runs"
        ]


def test_an_iterator_has_one_worker_and_says_so(short_windows):
    source = Batches(60)
    with Loader((source[i] for i in range(60)), workers="auto") as loader:
        assert indices(loader) == list(range(60))
        assert loader.stats().workers == 1
        assert "so one worker makes them all" in loader.autotune.history[0].reason


@pytest.mark.skipif(
    "libasan" in os.environ.get("LD_PRELOAD", ""),
    reason="with the sanitizers the making costs more than the hand-over",
)
def test_it_says_so_where_no_workers_would_be_better(short_windows):
    with Loader(np.arange(4_000_000), 4, workers="auto") as loader:
        batches = iter(loader)
        until = time.monotonic() + 20
        while not loader.autotune.advice and time.monotonic() < until:
            next(batches)
        assert loader.autotune.advice.startswith("workers=0 would be faster: making a batch takes")
        assert str(loader.stats().verdict).endswith(loader.autotune.advice)


@pytest.mark.parametrize("use_multiprocessing", [True, False])
def test_a_system_that_gives_no_more_workers_ends_nothing(
    short_windows, monkeypatch, use_multiprocessing
):
    pool = ProcessPool if use_multiprocessing else ThreadPool
    name = "_fork" if use_multiprocessing else "_thread"
    start, started = getattr(pool, name), []

    def start_two(self, worker):
        if len(started) == 2:
            raise OSError(24, "Too many open files")
        started.append(worker)
        return start(self, worker)

    monkeypatch.setattr(pool, name, start_two)
    with Loader(
        Batches(10_000, doze), workers="auto", use_multiprocessing=use_multiprocessing
    ) as loader:
        run(loader, 200)
        assert loader.stats().workers == loader.autotune.workers == 2
        (refused,) = [entry for entry in loader.autotune.history if entry.rule == "refused"]
        assert refused.reason == (
            "more than 2 workers cannot be started: [Errno 24] Too many open files"
        )


def test_nothing_changes_while_the_loader_is_diagnosed(short_windows):
    with Loader(Batches(10_000, doze), workers="auto", max_queue_size="auto") as loader:
        loader.diagnose(lambda batch: time.sleep(0.001), 20)
        assert loader.autotune.history == [] and not loader.autotune.frozen
        run(loader, 150)
        assert loader.stats().workers > 1
        loader.autotune.freeze()
        loader.diagnose(lambda batch: time.sleep(0.001), 20)
        assert loader.autotune.frozen


def test_the_example_of_the_page_prints_what_it_says(tmp_path):
    (example,), (shown,) = blocks("autotune.md"), blocks("autotune.md", "text")
    printed = printed_by(example, tmp_path)
    first, last = printed.splitlines()[0], printed.splitlines()[-1]
    as_shown = re.sub(r"\d+(\.\d+)?", r"\\d+(\\.\\d+)?", re.escape(shown).replace(r"\.", "."))
    assert re.fullmatch(as_shown, f"{first}\n{last}\n"), printed


def test_nothing_is_tuned_unless_asked_for():
    with Loader(Batches(4)) as loader:
        assert loader.autotune is None
    with Loader(Batches(4), workers=0, max_queue_size="auto") as loader:
        assert loader.autotune is None  # the calling thread makes each batch when it is asked
        assert indices(loader) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"workers": "many"}, "workers must be an integer or \"auto\". Received: workers='many'"),
        ({"max_queue_size": "AUTO"}, "Received: max_queue_size='AUTO'"),
        ({"max_queue_size": b"auto"}, "max_queue_size must be an integer from 1"),
        ({"cpu_ceiling": 2}, 'cpu_ceiling bounds what workers="auto" chooses'),
        ({"workers": "auto", "memory_ceiling": 2}, 'bounds what max_queue_size="auto" chooses'),
        ({"workers": "auto", "cpu_ceiling": 0}, "cpu_ceiling must be a number of cores, above 0"),
        ({"workers": "auto", "cpu_ceiling": "2"}, "Received: cpu_ceiling='2'"),
        ({"workers": "auto", "cpu_ceiling": float("nan")}, "cpu_ceiling must be a number"),
        ({"max_queue_size": "auto", "memory_ceiling": 1.5}, "a whole number of bytes, above 0"),
        ({"max_queue_size": "auto", "memory_ceiling": True}, "a whole number of bytes, above 0"),
    ],
)
def test_arguments(options, words):
    with pytest.raises(ArgumentError) as caught:
        Loader(Batches(4), **options)
    assert words in str(caught.value) and "Received: " in str(caught.value)
