"""``fastfeed bench``: the loaders that are installed here, on the same work."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from fastfeed import _core
from fastfeed.benchmark import jpeg, loaders, machine, works
from fastfeed.benchmark.accelerators import ACCELERATORS
from fastfeed.benchmark.examine import SourceFailed
from fastfeed.benchmark.process import OutOfTime
from fastfeed.benchmark.results import Emulation, Report, Table
from fastfeed.benchmark.run import measure
from fastfeed.benchmark.settings import Settings
from fastfeed.cli.arguments import FAILED, failed, seconds
from fastfeed.cli.bench_files import Files
from fastfeed.cli.bench_progress import Shown, show
from fastfeed.errors import ArgumentError
from fastfeed.machine.limits import usable_cores

DESCRIPTION = """\
Measure how fast the loaders that are installed here make and hand over batches:
a plain loop, torch's DataLoader, Keras's PyDataset, tf.data, SPDL, Grain and
fastfeed. Each runs in a process of its own, one at a time, in turn; every batch
is counted, and the first ones are compared byte by byte.
"""
EPILOG = f"""\
works: {", ".join(works.WORKS)}, or your own as MODULE:SOURCE
loaders: {", ".join(dict.fromkeys(kind.name.split("-")[0] for kind in loaders.LOADERS))}
  Each stands for its variants; fastfeed-fill is one of fastfeed's.
{textwrap.fill("accelerators: " + ", ".join(ACCELERATORS), 80, subsequent_indent="  ")}

examples:
  fastfeed bench --quick
  fastfeed bench --work mypackage.data:train --loaders torch,fastfeed --out .
  fastfeed bench --emulate resnet50-h100 --loaders plain,torch,fastfeed

Exit status: 0; 1 if a loader failed or delivered wrong batches, or if your
source fails or is none; 2 for wrong arguments, or where a file cannot be
written; 130 after Ctrl-C, with what was measured until then.
"""
NOT_DONE = 2
QUEUE = 10
QUICK_WORKS = ("rows", "uint8", "jpeg", "asleep")
FULL, QUICK = (5, 300.0), (3, 120.0)
"""Repeats, and seconds for everything."""
FULL_EMULATION, QUICK_EMULATION = (3, 900.0), (2, 240.0)
LONGEST_S = 86400.0


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to those that the command line has."""
    parser = commands.add_parser(
        "bench",
        help="how fast the loaders that are installed here are",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--work", metavar="WORK,...", help="what to load (default: all works)")
    what.add_argument("--emulate", metavar="NAME,...", help="accelerators to keep fed")
    parser.add_argument("--loaders", metavar="NAME,...", help="which loaders (default: all)")
    _add_numbers(parser)
    _add_files(parser)
    parser.set_defaults(run=run)


def _add_numbers(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--workers", type=_number(1, _core.MAX_WORKERS), metavar="N", help="default: the cores")
    add("--queue", type=_number(1, 1024), metavar="N", help=f"batches ahead (default: {QUEUE})")
    add("--batch-size", type=_number(1, 1 << 20), metavar="N", help="samples a batch; your own "
        "source's items are batches without it")  # fmt: skip
    add("--repeats", type=_number(1, 1000), metavar="N", help=f"rounds (default: {FULL[0]})")
    add("--seconds", type=seconds(1, LONGEST_S), metavar="SECONDS",
        help=f"for everything, about (default: {FULL[1]:g})")  # fmt: skip
    add("--quick", action="store_true", help="a first look in about two minutes")
    add("--scale", type=_scale, default=1.0, metavar="X", help="of accelerators' records, above 0 "
        "and at most 1")  # fmt: skip


def _add_files(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round as JSON")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw the rates (.png, .svg)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="all three, as bench.* in there")


def _number(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            raise argparse.ArgumentTypeError(f"not a number from {least} to {most}: {text!r}")
        return int(text)

    return read


def _scale(text: str) -> float:
    try:
        scale = float(text)
    except ValueError:
        scale = 0.0
    if not 0 < scale <= 1:
        raise argparse.ArgumentTypeError(f"not a number above 0 and at most 1: {text!r}")
    return scale


def run(options: argparse.Namespace) -> int:
    """Run the command and return its exit status."""
    if importlib.util.find_spec("psutil") is None:
        return failed("bench needs psutil: pip install 'fastfeed[cli]'", NOT_DONE)
    try:
        names = _names(options)
        kinds = loaders.chosen(_listed(options.loaders)) if options.loaders else loaders.LOADERS
        files = Files(options)
        settings = _settings(options)
        report = _begun(settings)
        try:
            _measured(names, kinds, settings, report)
        finally:
            report.settings["load_after"] = os.getloadavg()[0]
            files.write(report)
    except ArgumentError as error:
        return failed(str(error), NOT_DONE)
    except (SourceFailed, OutOfTime) as error:
        return failed(str(error))
    return 0 if report.is_sound else FAILED


def _measured(
    names: list[str], kinds: Sequence[loaders.LoaderKind], settings: Settings, report: Report
) -> None:
    """Measure; after Ctrl-C, show what there is before it goes on its way."""
    shown = Shown()
    try:
        with shown:
            measure(names, kinds, settings, report, shown)
    except KeyboardInterrupt:
        report.interrupted = True
        parts: list[Table | Emulation] = [*report.tables, *report.emulations]
        for part in parts[shown.shown :]:
            show(part)
        raise


def _names(options: argparse.Namespace) -> list[str]:
    """Return what is to be measured."""
    if options.emulate:
        return _accelerators(_listed(options.emulate))
    if options.work:
        return works.chosen(_listed(options.work))
    names = list(QUICK_WORKS if options.quick else works.WORKS)
    try:
        jpeg.decoder()
    except jpeg.DecoderMissing as error:
        failed(f"without the work jpeg. {error}")
        names.remove("jpeg")
    return names


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _accelerators(names: list[str]) -> list[str]:
    for name in names:
        if name not in ACCELERATORS:
            known = ", ".join(ACCELERATORS)
            raise ArgumentError(f"There is no accelerator {name!r}. There are: {known}.", name)
    return list(dict.fromkeys(names))


def _settings(options: argparse.Namespace) -> Settings:
    full, quick = (FULL_EMULATION, QUICK_EMULATION) if options.emulate else (FULL, QUICK)
    repeats, budget = quick if options.quick else full
    workers = options.workers or max(1, round(usable_cores()))
    return Settings(
        workers,
        # An accelerator's batches are large, and each has a loader of its own.
        options.queue or (2 * workers if options.emulate else QUEUE),
        options.repeats or repeats,
        options.seconds or budget,
        options.batch_size,
        options.scale,
    )


def _begun(settings: Settings) -> Report:
    about = {
        "command": " ".join(["fastfeed", *sys.argv[1:]]),
        "begun": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "workers": settings.workers,
        "queue": settings.queue,
        "repeats": settings.repeats,
        "seconds": settings.seconds,
        "load_before": os.getloadavg()[0],
    }
    return Report(machine.describe(), about)
