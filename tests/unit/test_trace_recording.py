"""A recording takes over each batch once, whatever the order, and says how many it missed."""

from __future__ import annotations

import random
import time

import numpy as np
import pytest

import fastfeed
from fastfeed.monitor.journal import RECORD
from fastfeed.monitor.recording import CAPACITY, PATIENCE, Recording, follow, of_journal


class Items:
    """Batches of next to nothing."""

    def __init__(self, length):
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        return np.array([index])


class Told:
    """Stands for a view; hands out tickets in the order that it is told."""

    def __init__(self):
        self._journal = np.zeros(0, RECORD)

    def hand_out(self, *sequences, upload=False):
        records = np.zeros(len(sequences), RECORD)
        records["sequence"] = sequences
        now = time.monotonic_ns()
        records["answered_ns"] = range(now, now + len(sequences))
        records["upload_ns"] = upload
        self._journal = np.concatenate([self._journal, records])

    def uploaded(self):
        self._journal["uploaded_ns"] = self._journal["upload_ns"]

    def records(self, since=0):
        newest = self._journal["sequence"].max(initial=0)
        kept = self._journal["sequence"] + CAPACITY > newest
        return self._journal[kept & (self._journal["sequence"] >= since)]


def drain(batches):
    for _ in batches:
        pass


def sequences(recording):
    return [part["sequence"].tolist() for part in recording.parts]


def test_a_real_loader_is_followed_over_more_than_its_journal_holds():
    """Three journals' worth, of which no batch is missing or there twice."""
    with fastfeed.Loader(Items(1000), workers=0) as loader:
        recording = Recording(loader._view())
        for _ in range(50):
            drain(loader)
            recording.look()
        recording.look(is_last=True)
        assert len(loader._view().records()) == CAPACITY
    assert recording.batches == 50_000 and recording.lost == 0
    assert sequences(recording) == [list(range(50_000))]


def test_it_begins_with_the_batches_that_come_after_it():
    with fastfeed.Loader(Items(30), workers=0) as loader:
        drain(loader)
        recording = Recording(loader._view())
        drain(loader)
        recording.look(is_last=True)
        held = of_journal(loader._view())
    assert sequences(recording) == [list(range(30, 60))]
    assert sequences(held) == [list(range(60))]


def test_who_looks_too_late_knows_how_much_is_missing():
    with fastfeed.Loader(Items(CAPACITY + 500), workers=0) as loader:
        recording = Recording(loader._view())
        batches = iter(loader)
        for _ in range(200):
            next(batches)
        recording.look()
        drain(batches)
        recording.look(is_last=True)
    assert recording.lost == 300
    assert sequences(recording) == [list(range(200)), list(range(500, CAPACITY + 500))]


def test_tickets_that_come_late_are_taken_over_too():
    shuffled = list(range(3000))
    chaos = random.Random(5)
    for at in range(0, 3000, 100):  # as with ordered=False: only neighbours overtake each other
        part = shuffled[at : at + 100]
        chaos.shuffle(part)
        shuffled[at : at + 100] = part
    view = Told()
    recording = Recording(view)
    for at in range(0, 3000, 70):
        view.hand_out(*shuffled[at : at + 70])
        recording.look()
    recording.look(is_last=True)
    assert sequences(recording) == [shuffled]
    assert recording.lost == 0


def test_tickets_of_a_loop_that_was_left_are_not_waited_for():
    view = Told()
    recording = Recording(view)
    view.hand_out(0, 1, 10)
    recording.look()
    view.hand_out(*range(11, 11 + 2 * PATIENCE))
    recording.look()
    assert recording._next == 11 + 2 * PATIENCE, "or it would read them again and again"
    recording.look(is_last=True)
    assert sequences(recording) == [[0, 1, *range(10, 11 + 2 * PATIENCE)]]


def test_a_batch_on_its_way_to_the_gpu_is_taken_over_when_it_has_arrived():
    view = Told()
    recording = Recording(view)
    view.hand_out(0, upload=True)
    assert recording.look() == 0
    view.uploaded()
    view.hand_out(1, upload=True)
    assert recording.look() == 1
    assert recording.look(is_last=True) == 1, "at the end they are taken as they are"
    assert recording.parts[0]["uploaded_ns"].tolist() == [1, 0]


@pytest.mark.parametrize("ends", ["by itself", "with its process", "at its most"])
def test_following_ends(ends):
    with fastfeed.Loader(Items(40), workers=0) as loader:
        recording = Recording(loader._view())
        drain(loader)
        looks = iter([True, False])
        follow(
            [recording],
            seconds=0.01 if ends == "by itself" else 60,
            goes_on=(lambda: next(looks)) if ends == "with its process" else lambda: True,
            most=30 if ends == "at its most" else 1000,
        )
    assert sequences(recording) == [list(range(40))]


def test_what_was_recorded_survives_an_interruption():
    def interrupt():
        raise KeyboardInterrupt

    with fastfeed.Loader(Items(40), workers=0) as loader:
        recording = Recording(loader._view())
        drain(loader)
        with pytest.raises(KeyboardInterrupt):
            follow([recording], 60, goes_on=interrupt, most=1000)
    assert sequences(recording) == [list(range(40))]
