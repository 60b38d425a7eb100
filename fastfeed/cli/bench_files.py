"""The files that ``fastfeed bench`` writes: found to be writable before anything is measured."""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path

from fastfeed.benchmark.report import as_json, as_markdown, picture_rows
from fastfeed.benchmark.results import Report
from fastfeed.cli.output import OutputError
from fastfeed.errors import ArgumentError

PICTURES = (".png", ".svg", ".pdf")


class Files:
    """What is to be written, and where.

    Parameters
    ----------
    options : argparse.Namespace
        With ``json``, ``markdown``, ``picture``, ``out`` and ``emulate``.

    Raises
    ------
    ArgumentError
        A picture cannot be drawn, or not with such a name.
    OutputError
        A file cannot be written.
    """

    def __init__(self, options: argparse.Namespace):
        folder: Path | None = options.out
        can_draw = importlib.util.find_spec("matplotlib") is not None and not options.emulate
        if folder:
            _make(folder)
        self._json: Path | None = options.json or (folder and folder / "bench.json")
        self._markdown: Path | None = options.markdown or (folder and folder / "bench.md")
        self._picture: Path | None = options.picture
        if self._picture:
            _check_picture(self._picture, bool(options.emulate))
        elif folder and can_draw:
            self._picture = folder / "bench.png"
        for path in (self._json, self._markdown, self._picture):
            if path:
                _check(path)

    def write(self, report: Report) -> None:
        """Write all of them, if anything was measured.

        Raises
        ------
        OutputError
            One cannot be written.
        """
        if not (report.tables or report.emulations):
            return
        if self._json:
            _write(self._json, as_json(report))
        if self._markdown:
            _write(self._markdown, as_markdown(report))
        if self._picture:
            _draw(self._picture, report)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"The folder {folder} cannot be made: {error.strerror}.") from None


def _check_picture(path: Path, emulates: bool) -> None:
    if emulates:
        raise ArgumentError(
            "The picture shows the rates of works. Leave out --picture with --emulate.", path
        )
    if path.suffix.lower() not in PICTURES:
        raise ArgumentError(f"A picture's name must end in {', '.join(PICTURES)}.", path)
    if importlib.util.find_spec("matplotlib") is None:
        raise ArgumentError("Pictures need matplotlib: pip install 'fastfeed[plot]'.", path)


def _check(path: Path) -> None:
    """Find out now whether a file can be written, and leave it as it is."""
    there = path.exists()
    try:
        path.open("ab").close()
        if not there:
            path.unlink()
    except OSError as error:
        raise _cannot(path, error) from None


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise _cannot(path, error) from None


def _draw(path: Path, report: Report) -> None:
    from fastfeed.pictures.style import NotSaved, save
    from fastfeed.pictures.throughput import Row, bench_picture

    try:
        save(bench_picture([Row(**row) for row in picture_rows(report)]), path)
    except NotSaved as error:
        raise OutputError(str(error)) from None


def _cannot(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"{path} cannot be written: {error.strerror}. Name a file in a folder that is there and "
        "that is yours to write to."
    )
