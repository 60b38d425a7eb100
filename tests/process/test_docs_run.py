"""The pages about sources run as printed, and so do the examples: each in an empty folder."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from docs_pages import DOCS, ROOT, blocks
from script_process import ScriptProcess

PAGES = ["cache.md", "files.md", "generators.md", "images.md", "rows.md", "sources.md"]
WITH_KERAS = {"resume.md"}  # in test_keras_docs

THREE_EPOCHS = r"epoch 1: .*\nepoch 2: .*\nepoch 3: .*\n"
EXAMPLES = {
    "cache.py": r"(epoch \d: .*; cache: \d+ samples, .* found, \d+ made\n){3}",
    "files_formats.py": r"128 pictures.*\nformat.*\n(.{32,}\d\.\d +[\d,]+ +[\d,]+\n){6}",
    "fill.py": THREE_EPOCHS,
    "generators.py": THREE_EPOCHS,
    "images.py": THREE_EPOCHS,
    "resume.py": r"undisturbed.*\n(killed.*\n){2}(.*\n){3}the same weights: True\n",
    "torch_loop.py": THREE_EPOCHS,
}
"""What each prints."""

IN_SMALL = """
import functools, runpy, sys
sys.path.insert(0, {folder!r})
import photos
photos.make_photos = functools.partial(photos.make_photos, train=8, validation=1)
sys.argv[1:] = ["128"] if "formats" in {example!r} else []
runpy.run_path({example!r}, run_name="__main__")
"""


@pytest.fixture
def printed_by(
    tmp_path: Path, script_process: Callable[..., ScriptProcess]
) -> Callable[[str], str]:
    """Return a function that runs a script in an empty folder and returns what it printed."""

    def printed_by(script: str) -> str:
        path = tmp_path / "example.py"
        path.write_text(script)
        # PyTorch's threads wait by spinning: where others use the cores, that takes their time.
        return script_process(OMP_NUM_THREADS="1").printed_by(path)

    return printed_by


@pytest.mark.parametrize("page", PAGES)
def test_a_page_prints_what_it_shows(page: str, printed_by: Callable[[str], str]) -> None:
    """Its blocks are one script; what it shows in blocks of text comes in that order."""
    examples, shown = blocks(page), blocks(page, "text")
    assert examples, f"{page} has no example"
    printed = printed_by("\n".join(examples))
    for text in shown:
        assert text in printed, f"{page} shows:\n{text}\nprinted is, from there on:\n{printed}"
        printed = printed.partition(text)[2]


def test_the_overview_leads_to_every_page_that_runs_here_and_those_are_there() -> None:
    links = set(re.findall(r"\]\(([\w-]+\.md)", (DOCS / "sources.md").read_text()))
    with_examples = {page for page in links if blocks(page)}
    assert with_examples - WITH_KERAS | {"sources.md"} == set(PAGES)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_runs(example: str, printed_by: Callable[[str], str]) -> None:
    folder = ROOT / "examples"
    printed = printed_by(IN_SMALL.format(folder=str(folder), example=str(folder / example)))
    assert re.fullmatch(EXAMPLES[example], printed), printed


def test_every_example_is_in_the_table() -> None:
    listed = re.findall(r"^\| `(\w+\.py)` \|", (ROOT / "examples/README.md").read_text(), re.M)
    assert sorted(listed) == sorted(path.name for path in (ROOT / "examples").glob("*.py"))
