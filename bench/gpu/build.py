"""``python -m bench.gpu.build``: compile `fastfeed._core` in place, where it is out of date.

What ``setup.py`` says, but without pyproject.toml: a machine with frameworks on it may have a
setuptools that is too old to read that.
"""

from __future__ import annotations

import os
import runpy
from typing import Any

import setuptools
from setuptools.command.build_ext import build_ext

from bench.harness import ROOT


def extensions() -> list[Any]:
    """Return the extension modules that ``setup.py`` defines (Cython has run on them)."""
    found: dict[str, Any] = {}
    own, setuptools.setup = setuptools.setup, lambda **arguments: found.update(arguments)
    try:
        runpy.run_path("setup.py")
    finally:
        setuptools.setup = own
    return list(found["ext_modules"])


def main() -> None:
    """Build."""
    os.chdir(ROOT)
    command = build_ext(setuptools.Distribution({"ext_modules": extensions()}))
    command.inplace = True
    command.ensure_finalized()
    command.run()


if __name__ == "__main__":
    main()
