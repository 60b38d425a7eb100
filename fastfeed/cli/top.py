"""``fastfeed top``: what the loaders of a running job do, seen from another process."""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict

from fastfeed.cli.arguments import failed, pid, seconds
from fastfeed.cli.output import put
from fastfeed.monitor.journal import MonitorError
from fastfeed.top.lines import as_json, lines
from fastfeed.top.watch import Job, Picture, Watch, jobs

DESCRIPTION = """\
Show what the loaders of a running job do: each worker, what is ready, what the
loop waits for, rates, and what would help. The job needs no preparation and is
not disturbed: its counters are only read. Without PID: the only job of yours,
or a list of them. Ctrl-C ends it.
"""
EPILOG = """\
Exit status: 0, also after Ctrl-C; 1 if the process has no loader, is another
user's, or has ended; 2 for wrong arguments, or where the output cannot be
written. The screen needs rich: pip install 'fastfeed[cli]'
"""
SHORTEST_S, LONGEST_S = 0.1, 3600.0
WIDEST = 120


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to those that the command line has."""
    parser = commands.add_parser(
        "top",
        help="what the loaders of a running job do",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("pid", nargs="?", type=pid, metavar="PID", help="process of the job")
    parser.add_argument(
        "--interval",
        type=seconds(SHORTEST_S, LONGEST_S),
        default=1.0,
        metavar="SECONDS",
        help="between looks (default 1)",
    )
    parser.add_argument("--once", action="store_true", help="one picture, then end")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="a JSON object a look, each in one line")
    form.add_argument(
        "--plain", action="store_true", help="a line a loader and look; the default in a pipe"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command and return its exit status."""
    try:
        chosen = options.pid or _chosen(jobs(), options.json)
        if chosen is None:
            return 0
        watch = Watch(chosen)
    except MonitorError as error:
        return failed(str(error))
    if options.once:
        return _once(watch, options)
    is_screen = not (options.json or options.plain) and _has_screen()
    try:
        number = _live(watch, options) if is_screen else _stream(watch, options)
    except KeyboardInterrupt:
        number = signal.SIGINT
    if number:
        return 0 if number == signal.SIGINT else 128 + number
    return failed(f"Process {watch.pid} ({watch.command}) has ended.")


# -- which job ------------------------------------------------------------------------------


def _chosen(found: list[Job], is_json: bool) -> int | None:
    """Return the only job's process; list several, and return None."""
    if not found:
        raise MonitorError(
            "No process of this user has a loader open. Start the job first; for another "
            "user's, use that user or root."
        )
    if len(found) == 1:
        return found[0].pid
    if is_json:
        put(json.dumps({"jobs": [asdict(job) for job in found]}) + "\n")
    else:
        put("".join(_listed(found)))
    return None


def _listed(found: list[Job]) -> Iterator[str]:
    yield "Several processes have loaders. Look at one with: fastfeed top PID\n"
    for job in found:
        yield f"{job.pid:>8}  {job.command}  ({', '.join(job.loaders)})\n"


# -- ways to show it ------------------------------------------------------------------------


def _once(watch: Watch, options: argparse.Namespace) -> int:
    """Show what happened between two looks."""
    time.sleep(options.interval)
    picture = watch.look()
    if picture is None:
        return failed(f"Process {watch.pid} ({watch.command}) has ended.")
    if options.json or options.plain or not _has_rich():
        put(_as_text(picture, options.json))
    else:
        put(_drawn(picture))
    return 0


def _stream(watch: Watch, options: argparse.Namespace) -> int:
    """Write a text a look, until the process ends."""
    while True:
        time.sleep(options.interval)
        picture = watch.look()
        if picture is None:
            return 0
        put(_as_text(picture, options.json))


def _as_text(picture: Picture, is_json: bool) -> str:
    return "".join(f"{line}\n" for line in ([as_json(picture)] if is_json else lines(picture)))


def _drawn(picture: Picture) -> str:
    """Return the whole screen, in the width of the terminal or `COLUMNS`."""
    from rich.console import Console

    from fastfeed.top.screen import Screen

    columns = min(shutil.get_terminal_size((80, 24)).columns, WIDEST)
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    paper = io.TextIOWrapper(io.BytesIO(), encoding, "backslashreplace")
    console = Console(file=paper, width=columns, force_terminal=Console().is_terminal)
    console.print(Screen(picture))
    paper.seek(0)
    return paper.read()


def _has_rich() -> bool:
    return importlib.util.find_spec("rich") is not None


def _has_screen() -> bool:
    """Tell whether standard output is a terminal on which the cursor can be moved."""
    if sys.stdout is None or not sys.stdout.isatty():
        return False
    if not _has_rich():
        print("fastfeed: the screen needs rich: pip install 'fastfeed[cli]'", file=sys.stderr)
        return False
    from rich.console import Console

    return not Console().is_dumb_terminal


def _live(watch: Watch, options: argparse.Namespace) -> int:
    """Draw until the process ends, or a signal comes: its number."""
    from fastfeed.top.live import show

    return show(watch, options.interval)
