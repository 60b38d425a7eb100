"""What the workers do while the caller uses a batch: so many batches ahead, and never more."""

from functools import partial
from pathlib import Path

import pytest
from leftovers import eventually
from process_sources import Batches, Divided

from fastfeed import Loader

LENGTH = 30
"""Batches an epoch."""


@pytest.mark.parametrize("queue", [1, 2, 5])
@pytest.mark.parametrize("processes", [True, False])
def test_the_queue_is_full_while_the_caller_holds_a_batch(queue, processes):
    with Loader(
        Batches(20), workers=1, max_queue_size=queue, use_multiprocessing=processes
    ) as loader:
        batches = iter(loader)
        for _ in range(3):
            held = next(batches)
            assert eventually(lambda: loader.stats().ready == queue)
            del held


class Ledger:
    """Counts, in files and so for all processes, batches that were begun and those asked for.

    Parameters
    ----------
    folder : path
    """

    def __init__(self, folder):
        self.begun, self.asked, self.ahead = (folder / n for n in ("begun", "asked", "ahead"))
        for path in (self.begun, self.asked, self.ahead):
            path.touch()

    def begin(self, *_):
        """Note that a batch is begun, and how many are ahead of those asked for by now."""
        note(self.begun)
        note(self.ahead, self.begun.stat().st_size - self.asked.stat().st_size)

    def ask(self):
        note(self.asked)


def note(path: Path, number: int = 0) -> None:
    """Append one byte, in one system call: nobody's gets lost."""
    with path.open("ab", buffering=0) as file:
        file.write(bytes([max(0, number)]))


def stream(ledger):
    yield from Divided(LENGTH, ledger.begin)(0, 1)


def generator_function(ledger):
    return partial(stream, ledger)


def divided(ledger):
    return Divided(LENGTH, ledger.begin)


def indexable(ledger):
    return Batches(LENGTH, before=ledger.begin)


PROCESSES = {"use_multiprocessing": True}
THREADS = {"use_multiprocessing": False}
WAYS = {
    "indexable, 2 processes": (indexable, {"workers": 2, **PROCESSES}),
    "indexable, 3 threads": (indexable, {"workers": 3, **THREADS}),
    "unordered": (indexable, {"workers": 3, "ordered": False, **PROCESSES}),
    "generator": (stream, {}),
    "generator function in a process": (generator_function, PROCESSES),
    "divided generator in 2 processes": (divided, {"workers": 2, **PROCESSES}),
}


@pytest.mark.parametrize("queue", [1, 4])
@pytest.mark.parametrize("way", WAYS)
def test_never_more_than_max_queue_size_are_begun_ahead(way, queue, tmp_path):
    source, options = WAYS[way]
    ledger = Ledger(tmp_path)
    epochs = 1 if source is stream else 2
    with Loader(source(ledger), max_queue_size=queue, **options) as loader:
        for _ in range(epochs):
            batches = iter(loader)
            for number in range(LENGTH):
                ledger.ask()
                held = next(batches)
                if number % 10 == 5:  # let the workers get as far as they can
                    assert eventually(lambda: loader.stats().ready == queue)
                del held
            assert next(batches, None) is None
    assert len(ledger.asked.read_bytes()) == epochs * LENGTH
    assert max(ledger.ahead.read_bytes()) == queue


def test_the_calling_thread_makes_nothing_ahead(tmp_path):
    ledger = Ledger(tmp_path)
    with Loader(indexable(ledger), workers=0) as loader:
        batches = iter(loader)
        for _ in range(LENGTH):
            ledger.ask()
            next(batches)
        assert loader.stats().ahead == 0
    assert max(ledger.ahead.read_bytes()) == 0
