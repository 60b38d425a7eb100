"""Ctrl-C on a real terminal: it ends the loop at once, with the user's own traceback alone."""

from __future__ import annotations

import signal
import sys
import time

import numpy as np
import pytest
from process_scripts import Script

from fastfeed import Loader
from fastfeed.workers.writer import SlotWriter

SCRIPT = """
import time
from fastfeed import Loader
from process_sources import Batches

source = Batches(1000, {before}, rows=1000)
{opening}
    for number, batch in enumerate(loader):
        if number == 5:
            print("five", flush=True)
            {step}
"""
STUCK = "lambda i: i > 5 and time.sleep(60)"
WITH = "with Loader(source, workers=2) as loader:"
WITHOUT = "loader = Loader(source, workers=2)\nif True:"


def check_one_interrupt(script: Script) -> None:
    """Assert that the script has ended by one KeyboardInterrupt, and said no more than that."""
    assert script.finish() == -signal.SIGINT
    echo = script.output.replace("^C", "")
    said = [line for line in echo.splitlines() if line and not line.startswith(" ")]
    expected = ["five", "Traceback (most recent call last):", "KeyboardInterrupt"]
    assert said == expected, script.output
    assert 'script.py", line' in script.output


@pytest.mark.parametrize("opening", [WITH, WITHOUT], ids=["with", "no with"])
@pytest.mark.parametrize(
    ("before", "step"),
    [(STUCK, "pass"), ("None", "time.sleep(60)"), (STUCK, "time.sleep(60)")],
    ids=["in a wait", "in a step", "in a step, workers stuck"],
)
@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_ends_the_script_with_one_traceback(tmp_path, opening, before, step, presses):
    text = SCRIPT.format(before=before, opening=opening, step=step)
    script = Script(tmp_path, text, on_terminal=True)
    script.wait_for("five")
    for _ in range(presses):
        time.sleep(0.15)
        script.press_ctrl_c()
    check_one_interrupt(script)


def test_ctrl_c_does_not_wait_for_threads_that_are_stuck(tmp_path):
    opening = WITH.replace("workers=2", "workers=2, use_multiprocessing=False")
    text = SCRIPT.format(before=STUCK, opening=opening, step="pass")
    script = Script(tmp_path, text, on_terminal=True)
    script.wait_for("five")
    for _ in range(2):
        time.sleep(0.15)
        script.press_ctrl_c()
    check_one_interrupt(script)


def test_ctrl_c_while_a_loader_is_closed_comes_when_it_is(tmp_path):
    script = Script(
        tmp_path,
        """
        import os, time
        from fastfeed import Loader
        from process_sources import Batches, once

        loader = Loader(Batches(9, lambda i: i > 1 and once("m") and time.sleep(60)), workers=1)
        batches = iter(loader)
        next(batches), next(batches)
        while not os.path.exists("m"):
            time.sleep(0.01)
        print("closing", flush=True)
        try:
            loader.close()  # takes half a second: a worker is stuck
        except KeyboardInterrupt:
            print("interrupted")
        """,
        on_terminal=True,
    )
    script.wait_for("closing")
    time.sleep(0.1)
    script.press_ctrl_c()
    assert script.finish() == 0
    assert script.output.replace("^C", "") == "closing\ninterrupted\n"


def test_a_loop_that_was_interrupted_can_be_started_again(tmp_path):
    script = Script(
        tmp_path,
        """
        import time
        from fastfeed import Loader
        from process_sources import Batches, once

        with Loader(Batches(30, lambda i: i == 9 and once("m") and time.sleep(60)), workers=1) as l:
            try:
                for batch in l:
                    if batch[0][0, 0] == 8:
                        print("waiting", flush=True)
            except KeyboardInterrupt:
                print("interrupted", flush=True)
            print(l.stats().batches)
        """,
        on_terminal=True,
    )
    script.wait_for("waiting")
    time.sleep(0.1)
    script.press_ctrl_c()
    assert script.finish() == 0
    assert script.output.replace("^C", "") == "waiting\ninterrupted\n9\n"


def test_ctrl_c_behind_a_batch_that_is_made_already():
    """The calling thread makes it: there is no other to which the interrupt could come."""

    def press(frame, event, argument):
        if event == "return" and frame.f_code is SlotWriter.commit.__code__:
            sys.setprofile(None)
            signal.raise_signal(signal.SIGINT)

    with Loader(np.arange(10), batch_size=2, workers=0) as loader:
        batches = iter(loader)
        assert next(batches).tolist() == [0, 1]
        sys.setprofile(press)
        try:
            with pytest.raises(KeyboardInterrupt):
                next(batches)
        finally:
            sys.setprofile(None)
        assert [batch.tolist() for batch in batches] == [[2, 3], [4, 5], [6, 7], [8, 9]]
