"""The command line: ``fastfeed COMMAND``, or ``python -m fastfeed COMMAND``."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence

from fastfeed.cli import bench, doctor, top, trace, tune
from fastfeed.cli.output import OutputError, ReaderGone
from fastfeed.doctor.versions import installed

NOT_DONE = 2
"""Exit status for what argparse refuses, and where the output cannot be written."""
INTERRUPTED = 128 + signal.SIGINT
READER_GONE = 128 + signal.SIGPIPE


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    parser = argparse.ArgumentParser(
        prog="fastfeed",
        description="Feeds training loops from worker processes. These commands look at a machine "
        "and at running jobs.",
        epilog="fastfeed COMMAND --help says more about one.",
    )
    version = installed("fastfeed").get("fastfeed", "of unknown version")
    parser.add_argument("--version", action="version", version=f"fastfeed {version}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    bench.add_to(commands)
    doctor.add_to(commands)
    top.add_to(commands)
    trace.add_to(commands)
    tune.add_to(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status.

    Parameters
    ----------
    arguments : sequence of str, optional
        Default: those that the program was started with.
    """
    options = parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one would interrupt the ending
        return _failed("interrupted.", INTERRUPTED)
    except ReaderGone:
        return READER_GONE
    except OutputError as error:
        return _failed(str(error), NOT_DONE)


def _failed(why: str, status: int) -> int:
    if sys.stderr is not None:
        print(f"fastfeed: {why}", file=sys.stderr)
    return status
