"""The fenced blocks of the pages in docs/, and what a script prints that a user makes of them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def blocks(page: str, language: str = "python") -> list[str]:
    """Return the blocks of a page in one language, or in several: ``"python|diff"``."""
    text = (ROOT if page == "README.md" else DOCS).joinpath(page).read_text()
    return re.findall(rf"^```(?:{language})\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def printed_by(script: str, folder: Path) -> str:
    """Run a script in a process of its own, in `folder`; return what it printed."""
    path = folder / "example.py"
    path.write_text(script)
    done = subprocess.run(
        [sys.executable, str(path)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
