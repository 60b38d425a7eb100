"""``fastfeed tune``: how many workers and how long a queue a source and a step need."""

from __future__ import annotations

import argparse
import math
import re
import shlex
import sys
import textwrap
from pathlib import Path
from typing import Any

from fastfeed.cli import tune_files, tune_text
from fastfeed.cli.arguments import failed, seconds
from fastfeed.cli.output import put, width, write
from fastfeed.cli.source import load_function, load_source
from fastfeed.cli.tune_progress import Progress
from fastfeed.errors import FastFeedError
from fastfeed.tuning.result import Ended, TuneResult
from fastfeed.tuning.tune import BUDGET_SECONDS, LEAST_SECONDS, MOST_SECONDS, tune

DESCRIPTION = """\
Find how many workers and how long a queue a source and a training step need,
by measuring: the step alone, workers alone with more and more of them, then
both together with the answer and its neighbours in turn.

SOURCE is what a Loader takes: an object with __len__ and __getitem__, a
generator function, arrays; or a class or function without arguments that makes
one. MODULE is package.module or path/to/file.py.
"""
EPILOG = """\
Writes tune.json, tune.md, and with matplotlib (pip install 'fastfeed[plot]')
tune.svg, tune.png and tune.html. Ctrl-C gives the answer so far.

  fastfeed tune train.py:Photos --step train.py:step
  fastfeed tune mydata:dataset --batch-size 64 --step-ms 35 --budget 120

Exit status: 0; 1 if the source or the step failed, or the budget was used up
before all was measured; 2 for wrong arguments, or where the output cannot be
written; 130 after Ctrl-C. In all but wrong arguments there is an answer, from
what was measured. A function on a GPU has to wait for its result, or only
starting it is measured.
"""
STATUS = {Ended.DONE: 0, Ended.OUT_OF_TIME: 1, Ended.FAILED: 1, Ended.INTERRUPTED: 130}
WRONG = 2
MOST_STEP_MS = 1e6
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to those that the command line has."""
    parser = commands.add_parser(
        "tune",
        help="how many workers and how long a queue a source and a step need",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", metavar="MODULE:SOURCE", help="what is to be fed")
    _add_step(parser)
    _add_loader(parser)
    parser.add_argument(
        "--budget",
        type=seconds(LEAST_SECONDS, MOST_SECONDS),
        default=BUDGET_SECONDS,
        metavar="SECONDS",
        help=f"answer after so long, whatever happens (default {BUDGET_SECONDS:g})",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("tune"),
        metavar="FOLDER",
        help="where the files go, over older ones (default tune)",
    )
    parser.add_argument("--json", action="store_true", help="print what tune.json gets")
    parser.set_defaults(run=run)


def _add_step(parser: argparse.ArgumentParser) -> None:
    step = parser.add_mutually_exclusive_group()
    step.add_argument(
        "--step", metavar="MODULE:FUNCTION", help="the training step, called with a batch"
    )
    step.add_argument(
        "--step-ms",
        type=milliseconds,
        metavar="MS",
        help="how long it takes; it sleeps so long. Without a step, workers are added as long as "
        "they make more",
    )


def _add_loader(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--batch-size",
        type=count,
        metavar="N",
        help="samples a batch, where the source gives single samples",
    )
    parser.add_argument(
        "--memory",
        type=n_bytes,
        metavar="SIZE",
        help="for the batches of the queue, as 512M or 2G (default 2G, or 10 %% of the memory)",
    )
    parser.add_argument(
        "--ranks",
        type=count,
        default=1,
        metavar="K",
        help="training processes on this machine; the answer is for one (default 1)",
    )
    parser.add_argument("--threads", action="store_true", help="threads in place of processes")
    parser.add_argument("--framework", help="as the Loader's, for the batches that --step gets")
    parser.add_argument("--device", help="the same: cuda, cuda:1")


def milliseconds(text: str) -> float:
    """Return seconds from milliseconds."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= MOST_STEP_MS:
        raise argparse.ArgumentTypeError(
            f"not a number of milliseconds from 0 to {MOST_STEP_MS:g}: {text!r}"
        )
    return number / 1000


def count(text: str) -> int:
    """Return a number of things, at least one."""
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 1 << 31):
        raise argparse.ArgumentTypeError(f"not a whole number above 0: {text!r}")
    return int(text)


def n_bytes(text: str) -> int:
    """Return bytes from ``512M``, ``1.5 GiB``, ``2G``, or a number of bytes."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?\s*", text, re.IGNORECASE)
    size = int(float(found[1]) * UNITS[found[2].upper()]) if found else 0
    if not 0 < size < 1 << 62:
        raise argparse.ArgumentTypeError(f"not a size such as 512M or 2G: {text!r}")
    return size


def run(options: argparse.Namespace) -> int:
    """Run the command and return its exit status."""
    tune_files.prepare(options.out)
    try:
        result = _tuned(options)
    except FastFeedError as error:  # arguments: what fails later is part of the result
        return failed(str(error), WRONG)
    paths, missing = tune_files.write(result, options.out, _command())
    if options.json:
        put(result.to_json() + "\n")
    else:
        write(tune_text.answer(result, width()))
        written = f"Written: {', '.join(map(str, paths))}. {missing}".strip()
        put(f"\n{textwrap.fill(written, width(), break_long_words=False)}\n")
    if result.ended == Ended.DONE:
        return 0
    return failed(f"{result.error} This is the answer so far.", STATUS[result.ended])


def _tuned(options: argparse.Namespace) -> TuneResult:
    source = load_source(options.source)
    step: Any = options.step_ms
    if options.step is not None:
        step = load_function(options.step)
    given = {"framework": options.framework, "device": options.device}
    with Progress(options.budget) as progress:
        return tune(
            source,
            step,
            batch_size=options.batch_size,
            budget_seconds=options.budget,
            memory_bytes=options.memory,
            ranks=options.ranks,
            threads=options.threads,
            name=options.source,
            watcher=progress,
            **{name: value for name, value in given.items() if value is not None},
        )


def _command() -> str:
    return shlex.join(["fastfeed", *sys.argv[1:]])
