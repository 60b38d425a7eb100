"""The files of ``fastfeed tune``: JSON, Markdown, and the pictures where matplotlib is there."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from fastfeed.cli.output import OutputError
from fastfeed.errors import LibraryMissing
from fastfeed.pictures import style
from fastfeed.tuning.markdown import markdown
from fastfeed.tuning.picture import tuning_picture
from fastfeed.tuning.report import write_report
from fastfeed.tuning.result import TuneResult


def prepare(folder: Path) -> None:
    """Make the folder, and see that files can be written there: before a minute of measuring.

    Raises
    ------
    OutputError
        They cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _refused(folder, error) from None


def write(result: TuneResult, folder: Path, command: str) -> tuple[list[Path], str]:
    """Write all files; return them, and what keeps the pictures from being among them.

    Raises
    ------
    OutputError
        One cannot be written.
    """
    texts = {"tune.json": result.to_json() + "\n", "tune.md": markdown(result)}
    paths = [folder / name for name in texts]
    try:
        for path, text in zip(paths, texts.values(), strict=True):
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise _refused(path, error) from None
    try:
        return paths + _draw(result, folder, command), ""
    except LibraryMissing as error:
        return paths, str(error)


def _draw(result: TuneResult, folder: Path, command: str) -> list[Path]:
    paths = [folder / name for name in ("tune.svg", "tune.png", "tune.html")]
    picture = tuning_picture(result)
    try:
        for path in paths[:2]:
            style.save(picture, path)
        write_report(result, paths[2], command)
    except style.NotSaved as error:
        raise OutputError(str(error)) from None
    return paths


def _refused(path: Path, error: OSError) -> OutputError:
    why = os.strerror(error.errno or errno.EIO)
    return OutputError(f"{path} cannot be written: {why}. Name another folder with --out.")
