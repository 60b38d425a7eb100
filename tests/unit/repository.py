"""The files of the repository, for tests that read them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def tracked(*patterns: str) -> list[Path]:
    """Files that git knows, or will at the next `git add`, and that match a pattern.

    A pattern that matches nothing fails: a check that looks at nothing proves nothing.
    """
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--"]
    found: list[Path] = []
    for pattern in patterns:
        names = subprocess.check_output([*command, pattern], cwd=ROOT, text=True)
        files = [ROOT / name for name in names.split("\0") if name and (ROOT / name).is_file()]
        assert files, f"no file matches {pattern}"
        found += files
    return found
