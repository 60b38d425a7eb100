"""``fastfeed doctor``: what the doctor found, as a list for people or as JSON."""

from __future__ import annotations

import argparse
import json
import textwrap
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict

from fastfeed.cli.output import Styled, width, write
from fastfeed.doctor import Finding, Status, examine
from fastfeed.doctor.versions import installed
from fastfeed.monitor.words import count

DESCRIPTION = """\
Look at what this machine offers fastfeed: versions, kernel, cores, memory,
limits, workers, copy speed, GPU. Say what would go wrong, and the cure.
Takes two to three seconds and changes nothing.

  ok        as it should be
  note      nothing is wrong; know it if you want more speed
  warning   something will be slow, or fail in some uses
  problem   fastfeed cannot be used here, or only with threads
"""
EPILOG = """\
Exit status: 0; 1 if there is a problem; 2 for wrong arguments, or where the
output cannot be written. Colours need rich: pip install 'fastfeed[cli]'
"""
STYLES = {
    Status.OK: "green",
    Status.NOTE: "cyan",
    Status.WARNING: "bold yellow",
    Status.PROBLEM: "bold red",
}
INDENT = 9


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to those that the command line has."""
    parser = commands.add_parser(
        "doctor",
        help="what this machine offers, what would go wrong, and the cure",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="the same as one JSON object")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command and return its exit status."""
    findings = []
    for finding in examine():
        findings.append(finding)
        if not options.json:  # each as soon as it is known
            write(entry(finding, width()))
    if options.json:
        write([(as_json(findings) + "\n", "")])
    else:
        write(summary(findings, width()))
    return 0 if is_usable(findings) else 1


def is_usable(findings: list[Finding]) -> bool:
    """Return whether nothing makes fastfeed unusable."""
    return all(finding.status != Status.PROBLEM for finding in findings)


def as_json(findings: list[Finding]) -> str:
    """Return everything that was found, for programs."""
    found = {
        "fastfeed": installed("fastfeed").get("fastfeed"),
        "usable": is_usable(findings),
        "findings": [asdict(finding) for finding in findings],
    }
    return json.dumps(found, indent=2)


def entry(finding: Finding, columns: int) -> Iterator[Styled]:
    """Yield the lines about one finding, no longer than `columns`."""
    yield f"{finding.status:<{INDENT}}", STYLES[finding.status]
    head, *rest = _wrapped(f"{finding.name}: {finding.seen}", columns)
    yield head[: len(finding.name)], "bold"
    yield "\n".join([head[len(finding.name) :], *rest, ""]), ""
    means = "" if finding.means in finding.cure else finding.means
    for text, style in ((means, ""), (finding.cure and f"Cure: {finding.cure}", "italic")):
        for line in _wrapped(text, columns):
            yield f"{' ' * INDENT}{line.strip()}\n", style


def _wrapped(text: str, columns: int) -> list[str]:
    """Break a text into lines that leave room for the first column."""
    first, *rest = textwrap.wrap(text, columns - INDENT, break_on_hyphens=False) or [""]
    return [first, *(" " * INDENT + line for line in rest)] if text else []


def summary(findings: list[Finding], columns: int) -> Iterator[Styled]:
    """Yield the last lines: how many findings of which kind, and whether fastfeed works."""
    numbers = Counter(finding.status for finding in findings)
    counted = ", ".join(_counted(numbers[status], status) for status in Status if numbers[status])
    problems = [finding.name for finding in findings if finding.status == Status.PROBLEM]
    if problems:
        verdict, style = f"fastfeed does not work here: see {' and '.join(problems)}.", "bold red"
    else:
        verdict, style = "fastfeed works here.", "bold"
    yield "\n", ""
    yield f"{textwrap.fill(verdict, columns)}\n", style
    yield f"{textwrap.fill(f'Of {len(findings)} findings: {counted}.', columns)}\n", ""


def _counted(number: int, status: Status) -> str:
    return f"{number} {status}" if status == Status.OK else count(number, status)
