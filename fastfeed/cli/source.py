"""``MODULE:NAME`` on a command line: imports the module and gives what the name stands for."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from fastfeed.errors import ArgumentError

FORMS = "Write module:name, package.module:name or path/to/file.py:name"


def load_source(text: str) -> Any:
    """Return the source that ``MODULE:SOURCE`` names.

    Parameters
    ----------
    text : str
        MODULE is a dotted name, looked for in the current folder first, or the path of a file
        that ends in ``.py``. SOURCE is what a Loader takes, or a class or function without
        arguments that makes it.

    Returns
    -------
    object
        Generator functions, and others that return an iterator, come back uncalled: a Loader calls
        them once a pass.

    Raises
    ------
    ArgumentError
        It cannot be imported, is not there, needs arguments or fails when it is called.
    """
    found = load_object(text)
    if hasattr(found, "__len__") and not isinstance(found, type):
        return found
    if not callable(found) or inspect.isgeneratorfunction(found):
        return found
    made = _called(found, text)
    return found if isinstance(made, Iterator) else made


def load_function(text: str) -> Any:
    """Return the function that ``MODULE:FUNCTION`` names.

    Raises
    ------
    ArgumentError
        It cannot be imported, is not there, or cannot be called.
    """
    found = load_object(text)
    if not callable(found):
        raise ArgumentError(
            f"{_name(text)} is no function (its type is {type(found).__name__}): it cannot be "
            "called with a batch.",
            text,
        )
    return found


def load_object(text: str) -> Any:
    """Return what ``MODULE:NAME`` names; the name may have dots.

    Raises
    ------
    ArgumentError
        It has another form, the module cannot be imported, or has no such name.
    """
    place, colon, name = text.rpartition(":")
    if not (place and colon and name):
        raise ArgumentError(f"{FORMS}.", repr(text))
    found: Any = _imported(place, text)
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            here = ", ".join(_public(found)) or "nothing"
            raise ArgumentError(f"{place} has no {name}. It defines: {here}.", text) from None
    return found


def _imported(place: str, text: str) -> ModuleType:
    path = Path(place)
    from_file = place.endswith(".py")
    if from_file and not path.is_file():
        raise ArgumentError(f"There is no file {place}. {FORMS}.", text)
    # Workers import the module by its name, and get this search path.
    folder, name = (str(path.resolve().parent), path.stem) if from_file else (os.getcwd(), place)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        module = importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise ArgumentError(_why_not(name, place, error), text) from error
    if from_file and not _is_file_of(module, path):
        raise ArgumentError(
            f"{place} cannot be imported: the name {name} belongs to another module already. "
            "Give the file another name.",
            text,
        )
    return module


def _why_not(name: str, place: str, error: BaseException) -> str:
    """Tell a module that is not there from one that fails."""
    if isinstance(error, ModuleNotFoundError) and error.name in _parents(name):
        return (
            f"There is no module {error.name}, neither in the current folder nor installed. {FORMS}"
            "; the virtual environment may not be the one that you meant."
        )
    said = f"{type(error).__name__}: {error}".rstrip(": ")
    if isinstance(error, SystemExit):
        return (
            f"Importing {place} ended the program ({said}). Put what only the script needs under "
            'if __name__ == "__main__":.'
        )
    return f"Importing {place} failed: {said}. See that python -c 'import {name}' works."


def _parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[: length + 1]) for length in range(len(parts))]


def _is_file_of(module: ModuleType, path: Path) -> bool:
    return module.__file__ is not None and Path(module.__file__).resolve() == path.resolve()


def _public(found: Any) -> list[str]:
    """Return the names that a module, or a class, defines itself."""
    own = getattr(found, "__name__", None)
    return [
        name
        for name, value in getattr(found, "__dict__", {}).items()
        if not name.startswith("_")
        and not isinstance(value, ModuleType)
        and getattr(value, "__module__", own) == own
    ]


def _called(function: Any, text: str) -> Any:
    """Call what makes a source."""
    if _needs_arguments(function):
        raise ArgumentError(
            f"{_name(text)} needs arguments. Write a function without any that calls it, "
            "def source(): return ..., and name that.",
            text,
        )
    try:
        return function()
    except (Exception, SystemExit) as error:
        raise ArgumentError(
            f"{_name(text)}() failed: {type(error).__name__}: {error}. It has to work before it "
            "can be fed.",
            text,
        ) from error


def _needs_arguments(function: Any) -> bool:
    try:
        inspect.signature(function).bind()
    except TypeError:
        return True
    except ValueError:  # written in C, without a signature
        return False
    return False


def _name(text: str) -> str:
    return text.rpartition(":")[2]
