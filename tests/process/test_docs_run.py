"""The pages about sources run as printed, and so do the examples: each in an empty folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from docs_pages import ROOT, blocks, printed_by

PAGES = ["sources.md", "files.md", "images.md"]
EXAMPLES = ["fill.py", "images.py", "torch_loop.py"]
"""Those that print what came of each of three epochs."""

WITH_FEW_PHOTOS = """
import functools, runpy, sys
sys.path.insert(0, {folder!r})
import photos
photos.make_photos = functools.partial(photos.make_photos, train=8, validation=1)
runpy.run_path({example!r}, run_name="__main__")
"""


@pytest.mark.parametrize("page", PAGES)
def test_a_page_prints_what_it_shows(page: str, tmp_path: Path) -> None:
    """Its blocks are one script; what it shows in blocks of text comes in that order."""
    examples, shown = blocks(page), blocks(page, "text")
    assert examples, f"{page} has no example"
    printed = printed_by("\n".join(examples), tmp_path)
    for text in shown:
        assert text in printed, f"{page} shows:\n{text}\nprinted is, from there on:\n{printed}"
        printed = printed.partition(text)[2]


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_runs(example: str, tmp_path: Path) -> None:
    folder = ROOT / "examples"
    script = WITH_FEW_PHOTOS.format(folder=str(folder), example=str(folder / example))
    printed = printed_by(script, tmp_path)
    assert printed.startswith("epoch 1: ") and "\nepoch 3: " in printed


def test_every_example_is_in_the_table() -> None:
    listed = re.findall(r"^\| `(\w+\.py)` \|", (ROOT / "examples/README.md").read_text(), re.M)
    assert sorted(listed) == sorted(path.name for path in (ROOT / "examples").glob("*.py"))
