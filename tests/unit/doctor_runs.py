"""Runs ``fastfeed doctor`` as users do."""

from __future__ import annotations

import os
import subprocess
import sys

PATIENCE_S = 60
WITHOUT = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "FASTFEED_CUDA_LIBRARY")

REFUSING = """
import ctypes, struct, sys

def refuse(call):
    # A seccomp filter in the kernel's own words: `call` returns ENOSYS, all others go on.
    load, equal, end = 0x20, 0x15, 0x06
    steps = [(load, 0, 0, 0), (equal, 0, 1, call), (end, 0, 0, 0x50026), (end, 0, 0, 0x7FFF0000)]
    code = b"".join(struct.pack("HBBI", *step) for step in steps)

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.byref(Program(4, code)), 0, 0):
        sys.exit(77)

refuse(int(sys.argv.pop(1)))
from fastfeed.cli import main
sys.exit(main())
"""
"""A program that forbids itself one system call, then is ``fastfeed``; 77: it may not do that."""

NOT_ALLOWED = 77

QUICK = """
import sys
from fastfeed.cli import main
from fastfeed.doctor import copies

copies.SECONDS = 0.01
sys.exit(main())
"""
"""The program, with a shorter measurement, for what does not depend on it."""
WITHOUT_RICH = "import sys\nsys.modules['rich'] = None\n" + QUICK


def environment(**changes: str) -> dict[str, str]:
    """Return this one's, without what changes the output."""
    kept = {name: value for name, value in os.environ.items() if name not in WITHOUT}
    return kept | changes


def fastfeed(*arguments: str, code: str = "", **changes: str) -> subprocess.CompletedProcess[str]:
    """Run a command, with pipes in the place of a terminal.

    Parameters
    ----------
    code : str
        A program to run in the place of ``python -m fastfeed``.
    """
    start = ["-c", code] if code else ["-m", "fastfeed"]
    return subprocess.run(
        [sys.executable, "-P", *start, *arguments],
        capture_output=True, text=True, timeout=PATIENCE_S,
        env=environment(**changes),
    )  # fmt: skip
