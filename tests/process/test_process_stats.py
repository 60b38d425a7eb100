"""stats(): what it says about memory is what the processes really take up."""

import re
from pathlib import Path

import numpy as np

from fastfeed import Loader

MiB = 1 << 20
BATCH = 16 * MiB


class Large:
    """Each item: a large array, and the bytes of its worker's private memory before it."""

    def __len__(self):
        return 12

    def __getitem__(self, index):
        before = int(re.search(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])
        return np.full(BATCH, index, np.uint8), np.array([before * 1024])


def mapped_slots():
    """Return the ranges of addresses at which this process has mapped slots."""
    maps = Path("/proc/self/maps").read_text()
    ranges = re.findall(r"^(\w+)-(\w+) .*memfd:fastfeed-slots", maps, re.MULTILINE)
    return {(int(begin, 16), int(end, 16)) for begin, end in ranges}


def test_slots_and_workers_take_up_what_it_says():
    others = mapped_slots()
    with Loader(Large(), workers=2, max_queue_size=3) as loader:
        private = [int(before[0]) for _, before in loader]
        stats = loader.stats()
        assert BATCH < stats.slot_bytes < BATCH + MiB
        assert (stats.workers, stats.ahead, stats.slots) == (2, 3, 3 + 4)
        mapped = sum(end - begin for begin, end in mapped_slots() - others)
        assert mapped == stats.slots * stats.slot_bytes
        assert stats.memory_bytes == (3 + 4 + 2) * stats.slot_bytes
    own = max(private) - min(private)  # the first one is measured before anything was made
    assert own < 1.5 * BATCH, "a worker keeps more than one batch of its own"


def test_it_is_written_for_people():
    with Loader(Large(), workers=2, max_queue_size=3) as loader:
        expected = "(3 ahead + 4 in use + 2 of the workers' own) x a batch, of a size not known yet"
        assert str(loader.stats()).endswith(expected)
        batches = iter(loader)
        next(batches)
        lines = str(loader.stats()).splitlines()
    assert lines[0] == "batches: 1 handed out, 16.0 MiB"
    seconds = r"\d+\.\d{3}"
    assert re.fullmatch(
        rf"time: waited {seconds} s( \(production {seconds}(, order {seconds})?\))?, "
        rf"steps 0.000 s, first batch after {seconds} s",
        lines[1],
    )
    assert re.fullmatch(r"queue: [0-3] of at most 3 ready; 2 workers, 0 replaced", lines[2])
    assert lines[3] == (
        "memory: (3 ahead + 4 in use + 2 of the workers' own) x 16.0 MiB = 144.0 MiB at the most"
    )


def test_the_calling_thread_makes_one_at_a_time():
    with Loader([np.zeros(BATCH, np.uint8)] * 2, workers=0) as loader:
        list(loader)
        stats = loader.stats()
    assert (stats.workers, stats.ahead, stats.slots) == (0, 0, 5)
    assert stats.memory_bytes == 6 * stats.slot_bytes
