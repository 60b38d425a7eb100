"""The command line: ``fastfeed COMMAND``, or ``python -m fastfeed COMMAND``."""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
from collections.abc import Sequence

from fastfeed.cli.output import OutputError, ReaderGone
from fastfeed.doctor.versions import installed

COMMANDS = ("bench", "doctor", "top", "trace", "tune")
"""Each has a module here."""
NOT_DONE = 2
"""Exit status for what argparse refuses, and where the output cannot be written."""
INTERRUPTED = 128 + signal.SIGINT
READER_GONE = 128 + signal.SIGPIPE


def parser(names: Sequence[str] = COMMANDS) -> argparse.ArgumentParser:
    """Return what reads the command line, for these commands: what others import costs time."""
    parser = argparse.ArgumentParser(
        prog="fastfeed",
        description="Feeds training loops from worker processes. These commands look at a machine "
        "and at running jobs.",
        epilog="fastfeed COMMAND --help says more about one.",
    )
    version = installed("fastfeed").get("fastfeed", "of unknown version")
    parser.add_argument("--version", action="version", version=f"fastfeed {version}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name in names:
        importlib.import_module(f"fastfeed.cli.{name}").add_to(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status.

    Parameters
    ----------
    arguments : sequence of str, optional
        Default: those that the program was started with.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    named = [name for name in COMMANDS if name in arguments[:1]]
    options = parser(named or COMMANDS).parse_args(arguments)
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
