"""Packages of others that are imported only where they are needed."""

from __future__ import annotations

import importlib
from typing import Any

from fastfeed.errors import LibraryMissing


def library(name: str, needed_for: str, install: str = "") -> Any:
    """Import a package that need not be installed.

    Parameters
    ----------
    name : str
        Of the module.
    needed_for : str
        What the user has asked for: the subject of the error's sentence.
    install : str
        What pip is to install, if that is not the module's package.

    Raises
    ------
    LibraryMissing
        It cannot be imported.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise LibraryMissing(
            f"{needed_for} needs {package}, which cannot be imported ({error}). Install it with: "
            f"pip install {install or package}"
        ) from error
