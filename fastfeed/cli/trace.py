"""``fastfeed trace``: what the loaders of a running job do, as a file for Perfetto."""

from __future__ import annotations

import argparse
import os
import signal
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager

from fastfeed.cli.arguments import failed, pid, seconds
from fastfeed.cli.output import OutputError, put, width
from fastfeed.errors import ArgumentError, gib
from fastfeed.monitor.journal import MonitorError, View, views_of
from fastfeed.monitor.recording import Recording, follow, of_journal
from fastfeed.monitor.trace import TraceError, check_name, opened, write
from fastfeed.monitor.words import count
from fastfeed.top import processes

DESCRIPTION = """\
Write what the loaders of a running job do as a trace: a lane a worker, the
upload, the consumer with its waits and their causes, and each batch's way as an
arrow. The job needs no preparation and is not disturbed: its journal is only
read. Ctrl-C ends the recording earlier, and writes what there is.
"""
EPILOG = """\
Open the file at https://ui.perfetto.dev (it stays on this machine) or in
chrome://tracing. Loaders that are opened later are not in it.

Exit status: 0; 1 if the process has no loader, is another user's, or hands out
no batch; 2 for wrong arguments, or where the file cannot be written.
"""
LONGEST_S = 3600.0
MOST = 2_000_000
"""Batches: 2 GB of events, as much as Perfetto shows."""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to those that the command line has."""
    parser = commands.add_parser(
        "trace",
        help="write what the loaders of a running job do, for Perfetto",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("pid", type=pid, metavar="PID", help="process of the job")
    parser.add_argument(
        "-o",
        "--output",
        type=_name,
        metavar="FILE",
        help="ends with .json or .json.gz (default: trace-PID.json)",
    )
    parser.add_argument(
        "--seconds",
        type=seconds(0, LONGEST_S),
        default=10.0,
        metavar="SECONDS",
        help="record so long (default 10); 0: only what the journal holds, the last 16,384 batches",
    )
    parser.set_defaults(run=run)


def _name(text: str) -> str:
    try:
        check_name(text)
    except ArgumentError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def run(options: argparse.Namespace) -> int:
    """Run the command and return its exit status."""
    name = options.output or f"trace-{options.pid}.json"
    try:
        views = views_of(options.pid)
        with opened(name) as file:  # before the recording: if it fails, it fails now
            recordings = _followed(views, options) if options.seconds else _held(views)
            _check(recordings, options)
            write(file, recordings)
    except MonitorError as error:
        return failed(str(error))
    except TraceError as error:
        raise OutputError(str(error)) from error
    _say(_summary(recordings, name))
    return 0


def _held(views: list[View]) -> list[Recording]:
    return [of_journal(view) for view in views]


def _followed(views: list[View], options: argparse.Namespace) -> list[Recording]:
    """Record until the time is over, the process has ended, or Ctrl-C is pressed."""
    recordings = [Recording(view) for view in views]
    started = processes.started(options.pid)
    with _presses() as presses:
        _say(f"Recording process {options.pid} for {options.seconds:g} s; Ctrl-C ends it.")
        follow(
            recordings,
            options.seconds,
            goes_on=lambda: not presses and processes.started(options.pid) == started,
            most=MOST,
        )
    return recordings


@contextmanager
def _presses() -> Iterator[list[int]]:
    """Count Ctrl-C. As an exception in the middle of a look it would have batches taken twice."""
    presses: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: presses.append(number))
    try:
        yield presses
    finally:
        signal.signal(signal.SIGINT, before)


def _check(recordings: list[Recording], options: argparse.Namespace) -> None:
    """Raise if there is nothing to write."""
    if any(recording.batches for recording in recordings):
        return
    while_ = f" while it was recorded ({options.seconds:g} s at the most)" * bool(options.seconds)
    before = ", or take --seconds 0 for what was before" * bool(options.seconds)
    raise MonitorError(
        f"Process {options.pid} handed out no batch{while_}, so there is nothing to write: try "
        f"again when its loop runs{before}."
    )


def _summary(recordings: list[Recording], name: str) -> str:
    batches = sum(recording.batches for recording in recordings)
    lost = sum(recording.lost for recording in recordings)
    of = f" of {count(len(recordings), 'loader')}" * (len(recordings) > 1)
    full = f" The recording ended at {MOST} batches, as much as can be shown." * (batches >= MOST)
    missing = (
        f" Up to {lost} more are missing: they were handed out faster than they could be read."
    ) * bool(lost)
    return (
        f"{name}: {batches} batches{of}, {gib(os.stat(name).st_size)}.{full}{missing} Open it at "
        "https://ui.perfetto.dev."
    )


def _say(text: str) -> None:
    put(textwrap.fill(text, width(), break_long_words=False, break_on_hyphens=False) + "\n")
