"""An alarm ends what never comes back, and leaves everything as it was."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from fastfeed.tuning.deadline import OutOfTime, alarm

LONG = 60.0


def soon() -> float:
    return time.perf_counter() + 0.05


def test_it_ends_a_sleep_that_swallows_exceptions() -> None:
    with pytest.raises(OutOfTime), alarm(soon()):
        while True:
            try:
                time.sleep(LONG)
            except Exception:  # as a step may have it
                pass


def test_a_time_that_is_over_rings_at_once() -> None:
    with pytest.raises(OutOfTime), alarm(time.perf_counter() - 1):
        time.sleep(LONG)


def test_one_within_another_ends_only_its_own_block() -> None:
    with pytest.raises(OutOfTime), alarm(time.perf_counter() + 0.3):
        with pytest.raises(OutOfTime), alarm(soon()):
            time.sleep(LONG)
        with alarm(time.perf_counter() + LONG):
            pass
        time.sleep(LONG)  # the outer one is still set


def test_nothing_is_left_of_it() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with alarm(time.perf_counter() + LONG):
        assert signal.getitimer(signal.ITIMER_REAL)[0] > LONG / 2
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) is before


def test_another_thread_is_left_alone() -> None:
    ended = []

    def work() -> None:
        with alarm(time.perf_counter() - 1):
            ended.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ended == [True]
