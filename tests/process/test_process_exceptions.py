"""Exceptions of the user's source: they arrive in their place, as they are, with the traceback."""

from __future__ import annotations

import os
import pickle
import threading
import traceback

import numpy as np
import pytest
from process_sources import Batches
from process_support import indices, outcomes

from fastfeed import Loader
from fastfeed.errors import RemoteTraceback, SourceError, WorkerCrashed

pytestmark = pytest.mark.filterwarnings("ignore:All but")

KINDS = {
    "processes": {"workers": 2},
    "threads": {"workers": 2, "use_multiprocessing": False},
    "caller": {"workers": 0},
}
each_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def raising(kind: type[BaseException], *arguments: object, at: int = 3) -> Batches:
    def fail_there(index: int) -> None:
        if index == at:
            raise kind(*arguments)

    return Batches(8, fail_there)


@each_kind
def test_an_exception_arrives_in_its_place_and_the_others_come(kind):
    with Loader(raising(KeyError, "no such image"), **kind) as loader:
        found = outcomes(loader)
        error = found.pop(3)
        assert indices(found) == [0, 1, 2, 4, 5, 6, 7]
        assert type(error) is KeyError and error.args == ("no such image",)
        assert len(outcomes(loader)) == 8  # and the next epoch is served


def test_an_exception_of_a_process_shows_where_it_was_raised():
    with Loader(raising(KeyError, "no such image"), workers=1) as loader:
        error = outcomes(loader)[3]
    assert isinstance(error.__cause__, RemoteTraceback)
    shown = "".join(traceback.format_exception(error))
    assert "in fail_there" in shown
    assert "making index 3 of epoch 0" in shown
    assert shown.rstrip().endswith("making index 3 of epoch 0.")


@each_kind
def test_an_exception_of_a_sample_says_which_sample(kind):
    with Loader(raising(KeyError, "image", at=5), batch_size=4, **kind) as loader:
        error = outcomes(loader)[1]
    assert "It was raised by Batches.__getitem__(5)." in error.__notes__


@each_kind
@pytest.mark.parametrize("error", [StopIteration, GeneratorExit])
def test_what_would_end_the_loop_silently_is_an_error(kind, error):
    with Loader(raising(error), **kind) as loader:
        found = outcomes(loader)
    assert len(found) == 8
    with pytest.raises(SourceError, match=f"let a {error.__name__} escape"):
        raise found[3]


@each_kind
def test_a_keyboard_interrupt_that_the_source_raises_is_not_held_back(kind):
    with pytest.raises(KeyboardInterrupt), Loader(raising(KeyboardInterrupt), **kind) as loader:
        for _ in loader:
            pass


class NeedsTwo(Exception):
    """Cannot be unpickled: its arguments are not those of its `__init__`."""

    def __init__(self, path, reason):
        super().__init__(f"{path}: {reason}")


class HoldsLock(Exception):
    """Cannot be pickled."""

    def __init__(self):
        super().__init__("locked")
        self.lock = threading.Lock()


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (raising(NeedsTwo, "a.jpg", "broken"), "NeedsTwo: a.jpg: broken"),
        (raising(HoldsLock), "HoldsLock: locked"),
    ],
)
def test_an_exception_that_does_not_pickle_is_told_in_words(source, text):
    with Loader(source, workers=1) as loader:
        found = outcomes(loader)
    with pytest.raises(SourceError, match=text + r" \(this exception does not pickle\)"):
        raise found[3]


def test_an_exception_whose_class_is_made_in_a_function_is_recognised():
    class Mine(Exception):
        pass

    with Loader(raising(Mine, "text"), workers=1) as loader:
        found = outcomes(loader)
    with pytest.raises(Mine, match="text"):
        raise found[3]


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("no words")


def test_an_exception_that_cannot_even_be_shown_arrives():
    with Loader(raising(Unprintable), workers=1) as loader:
        assert type(outcomes(loader)[3]) is Unprintable


@pytest.mark.parametrize("rows", [4, 100_000])  # slots smaller and larger than the message
def test_an_exception_with_a_huge_message(rows):
    source = raising(ValueError, "x" * 300_000)
    source.rows = rows
    with Loader(source, workers=2) as loader:
        for _ in range(2):
            found = outcomes(loader)
            assert [len(str(x)) for x in found if isinstance(x, ValueError)] == [300_000]
            assert len(found) == 8


def test_every_item_may_fail():
    def fail(index):
        raise ValueError(index)

    with Loader(Batches(30, fail), workers=2) as loader:
        for _ in range(2):
            assert [error.args for error in outcomes(loader)] == [(i,) for i in range(30)]


def test_a_generator_that_fails_ends_there():
    def rows():
        yield np.ones(2)
        raise KeyError("mine")

    with Loader(rows) as loader:
        for _ in range(2):
            found = outcomes(loader)
            assert [type(x) for x in found] == [np.ndarray, KeyError]


class Missing:
    """Unpickles only in the process that made it."""

    def __init__(self):
        self.maker = os.getpid()

    def __len__(self):
        return 3

    def __setstate__(self, state):
        self.__dict__ = state
        if os.getpid() != self.maker:
            raise ImportError("No module named 'only_here'")


def test_a_source_that_cannot_be_unpacked_in_the_worker_says_so_for_every_item():
    class Items(Missing):
        def __getitem__(self, index):
            raise AssertionError("never called")

    with Loader(Items(), workers=2) as loader:
        found = outcomes(loader)
        assert loader.stats().worker_restarts == 0
    assert [str(error) for error in found] == ["No module named 'only_here'"] * 3
    assert "The source could not be loaded in the worker process." in found[0].__notes__


class FailingHook(Batches):
    """`on_epoch_end` fails once, in the parent or in the worker."""

    def __init__(self, in_parent: bool) -> None:
        super().__init__(4)
        self.in_parent = in_parent
        self.maker = os.getpid()
        self.has_failed = False

    def on_epoch_end(self) -> None:
        if self.in_parent == (os.getpid() == self.maker) and not self.has_failed:
            self.has_failed = True
            raise KeyError("hook")


@pytest.mark.parametrize("in_parent", [True, False])
def test_an_epoch_hook_that_fails_is_reported_and_the_loader_goes_on(in_parent):
    with Loader(FailingHook(in_parent), workers=1) as loader:
        with pytest.raises(KeyError, match="hook"):
            for _ in range(2):
                for _ in loader:
                    pass
        assert indices(loader) == [0, 1, 2, 3]


def test_our_own_exceptions_can_be_pickled():
    error = WorkerCrashed("text", index=3, epoch=1, exitcode=-9)
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.index, copy.epoch, copy.exitcode, str(copy)) == (3, 1, -9, "text")
